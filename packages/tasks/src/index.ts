export { type CalibrationFigures, calibrationGate, type GateLine } from './calibration.ts'
export {
  answers,
  type DemonstratedCall,
  type Demonstration,
  demonstrate,
  demonstrateCall,
  demonstrationAt,
  type SftMixture,
  sftPhases,
  solve,
  thoughtWords,
} from './demonstrate.ts'
export { nanoTokenizerDirectory } from './nano.ts'
export {
  type ChatContent,
  type ChatMessage,
  cellBox,
  createQuestion,
  documentsOf,
  drawQuestion,
  grade,
  loadQuestion,
  type Question,
  type SearchDocument,
  suiteTools,
} from './question.ts'
export { createRandom, hashKey, type Random } from './random.ts'
export {
  type Difficulty,
  defaultDifficulty,
  type Family,
  families,
  generateSpec,
  residue,
  type Spec,
  type Split,
  splitOf,
  splits,
} from './spec.ts'
