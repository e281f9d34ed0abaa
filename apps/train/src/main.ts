/** The `axpo` command line: which commands there are. Each command's flags stand in its own file. */
import { fileURLToPath } from 'node:url'
import { addCalibrateCommand, addEvalCommand, type DeviceName, deviceOption } from '@axpo/eval'
import { Command } from 'commander'
import { addCompareCommand } from './command-compare.ts'
import { addSftCommand } from './command-sft.ts'
import { addTrainCommands } from './command-train.ts'
import { doctor } from './doctor.ts'
import { explain } from './explain.ts'
import { createProgress } from './progress.ts'
import { addShowCommand } from './suite-show.ts'

/** The shipped SFT checkpoint. */
const checkpoint = fileURLToPath(new URL('../checkpoints/sft', import.meta.url))

function createProgram(): Command {
  const program = new Command('axpo').description('Train and evaluate tool-using vision-language agents with AXPO')
  program
    .command('doctor')
    .description('adapter, features, limits, chosen device and why')
    .addOption(deviceOption())
    .action(async ({ device }: { device: DeviceName }) => {
      console.log(await doctor(device))
    })
  addTrainCommands(program, checkpoint)
  addSftCommand(program)
  addCompareCommand(program, checkpoint)
  const host = { checkpoint, progress: createProgress }
  addEvalCommand(program, host)
  const suite = program.command('suite').description('the built-in suite')
  addShowCommand(suite)
  addCalibrateCommand(suite, host)
  return program
}

function fail(error: unknown): never {
  console.error(`axpo: ${explain(error)}`)
  if (process.env.AXPO_DEBUG) console.error(error)
  process.exit(1)
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
await createProgram().parseAsync().catch(fail)
// Dawn keeps Node alive after its last promise
process.exit()
