/** Headless evaluation: sessions, rollouts over questions, statistics, tables, files. */
export { countByQuestion, defaultEvaluation, type EvaluationPlan, evaluate, evaluationQuestions } from './evaluate.ts'
export { loadEvaluation, saveEvaluation } from './evaluation-file.ts'
export { mapConcurrently } from './map-concurrently.ts'
export { agentPorts, openExecutor, openSession, type Session, type SessionOptions, suiteRegistry } from './session.ts'
export * from './statistics.ts'
export { suiteTask } from './suite-task.ts'
export { formatTable, type TableRow } from './table.ts'
