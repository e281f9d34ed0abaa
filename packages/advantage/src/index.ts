export * from './advantage.ts'
