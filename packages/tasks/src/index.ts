export { type CalibrationFigures, calibrationGate, type GateLine } from './calibration.ts'
export { renderContactSheet } from './contact-sheet.ts'
export {
  answers,
  type DemonstratedCall,
  type Demonstration,
  demonstrate,
  demonstrateCall,
  demonstrationAt,
  rightCalls,
  type SftMixture,
  sftPhases,
  solve,
  thoughtWords,
} from './demonstrate.ts'
export { type DemonstrationFor, renderGallery } from './gallery.ts'
export { type IconVariant, iconVariants } from './icon-variant.ts'
export { elementsTasks, nanoTokenizerDirectory } from './nano.ts'
export {
  type ChatContent,
  type ChatMessage,
  canonicalIcon,
  cellBox,
  createQuestion,
  documentsOf,
  drawQuestion,
  type GalleryEntry,
  grade,
  heldOutTools,
  hiddenDigitCorner,
  loadQuestion,
  type Picture,
  type Question,
  type SearchDocument,
  suiteTools,
} from './question.ts'
export { createRandom, hashKey, type Random } from './random.ts'
export {
  type AnyFamily,
  type Difficulty,
  defaultDifficulty,
  type Family,
  families,
  generateSpec,
  type HeldOutFamily,
  heldOutFamilies,
  type ImageSearchSpec,
  type PythonSpec,
  residue,
  type SearchSpec,
  type Spec,
  type Split,
  splitOf,
  splits,
  type ZoomSpec,
} from './spec.ts'
export { gradeUserTask, loadUserTasks, splitOfContent, type UserTask } from './user-tasks.ts'
export { demonstrateUserTask } from './user-tasks-demonstrate.ts'
export { type Grader, gradeAnswer } from './user-tasks-grader.ts'
export type { DecodeImage } from './user-tasks-media.ts'
export { type OwnTask, type OwnTasks, readTaskModule } from './user-tasks-module.ts'
export { drawForVlm, renderForVlm, shownToVlm, type VlmRendering, vlmShownSide, vlmSide } from './vlm.ts'
