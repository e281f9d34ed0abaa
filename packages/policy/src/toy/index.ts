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
  type ToyRollout,
  type ToyStart,
  type ToyValue,
  type ToyWorld,
  toyRollout,
  toyStart,
  toyValue,
} from './world.ts'
