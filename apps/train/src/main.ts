/** The `axpo` command line. Commands appear here as they are built; see LOG.md for what is still open. */
import { Command, InvalidArgumentError } from 'commander'
import { doctor } from './doctor.ts'

type DeviceRequest = 'auto' | 'webgpu' | 'cpu'

function parseDevice(value: string): DeviceRequest {
  if (value !== 'auto' && value !== 'webgpu' && value !== 'cpu')
    throw new InvalidArgumentError('Choose one of: auto, webgpu, cpu.')
  return value
}

const program = new Command('axpo').description('Train and evaluate tool-using vision-language agents with AXPO')

program
  .command('doctor')
  .description('adapter, features, limits, chosen device and why')
  .option('--device <device>', 'auto, webgpu or cpu', parseDevice, 'auto' as DeviceRequest)
  .action(async ({ device }: { device: DeviceRequest }) => {
    console.log(await doctor(device))
  })

program
  .command('start')
  .description('the main job: evaluate, train with AXPO, evaluate again')
  .allowUnknownOption()
  .argument('[arguments...]')
  .action(() => {
    console.error(
      'axpo start: not built yet: there is no SFT checkpoint and no training loop in this version. LOG.md says what exists; try `npm run axpo -- doctor`.',
    )
    process.exitCode = 1
  })

await program.parseAsync()
// Dawn keeps Node alive after its last promise
process.exit()
