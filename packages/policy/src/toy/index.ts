export {
  runToy,
  sampleToyStep,
  type ToyRun,
  type ToySettings,
  toyGradient,
  toyLearningRate,
} from './train.ts'
export {
  callValue,
  createTable,
  type Table,
  type ToyKind,
  type ToyKindName,
  type ToyRollout,
  type ToyStart,
  type ToyValue,
  type ToyWorld,
  toyKinds,
  toyRollout,
  toyStart,
  toyValue,
} from './world.ts'
