export { checkTrajectory } from './check.ts'
export {
  encodeRecord,
  FormatError,
  type FormatFault,
  formatName,
  formatVersion,
  type TrajectoryRecord,
} from './format.ts'
export {
  decodeRecords,
  loadTrajectories,
  type ReadOptions,
  readTrajectories,
  type StoredRecord,
  type TrajectoryFile,
} from './reader.ts'
export type { TornTail } from './stream.ts'
export * from './trajectory.ts'
export { TrajectoryWriter, type WriterOptions } from './writer.ts'
