/** Headless evaluation: sessions, rollouts over questions, statistics, tables, files. */
export { type CalibrationRow, calibrationRows, formatCalibration } from './calibrate.ts'
export { addCalibrateCommand, addEvalCommand, type CommandHost } from './command.ts'
export {
  countByQuestion,
  defaultEvaluation,
  type EvaluationPlan,
  evaluate,
  evaluateTasks,
  evaluationQuestions,
  evaluationTasks,
} from './evaluate.ts'
export { type EvaluationFile, loadEvaluation, loadEvaluations, saveEvaluation } from './evaluation-file.ts'
export { mapConcurrently } from './map-concurrently.ts'
export {
  buildOption,
  type DeviceName,
  deviceOption,
  easyShareOption,
  familiesOption,
  fraction,
  integer,
  largestCount,
  largestQuestions,
  largestSamples,
  largestSeed,
  largestThreads,
  positive,
  seedOption,
  splitOption,
  tasksOption,
  threadsOption,
  toolsOption,
} from './options.ts'
export {
  agentPorts,
  loadCheckpointCodec,
  openExecutor,
  openPython,
  openSession,
  type Session,
  type SessionOptions,
  suiteRegistry,
} from './session.ts'
export * from './statistics.ts'
export * from './statistics-bootstrap.ts'
export * from './statistics-runs.ts'
export { suiteTask } from './suite-task.ts'
export { formatTable, intervalNote, type TableRow } from './table.ts'
export { openUserFiles, type UserFiles, userFilesOf } from './user-files.ts'
export {
  checkTasks,
  createTaskRow,
  loadSplit,
  loadTaught,
  openTasksFile,
  openTaughtFile,
  type TasksFile,
  tasksFileOf,
  userTask,
} from './user-task.ts'
export {
  loadUserTools,
  openToolsFile,
  openUserTools,
  type ToolsFile,
  type UserTools,
} from './user-task-tools.ts'
