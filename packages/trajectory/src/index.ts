export { encodeRecord, FormatError, formatName, formatVersion, type TrajectoryRecord } from './format.ts'
export { decodeRecords, loadTrajectories, type ReadOptions, readTrajectories, type TrajectoryFile } from './reader.ts'
export * from './trajectory.ts'
export { TrajectoryWriter, type WriterOptions } from './writer.ts'
