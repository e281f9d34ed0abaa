/** Which WebGPU tests run: all, or none where AXPO_ADAPTER=none says that the machine has no adapter. Never silently none. */
import { describeAdapter } from './adapter.ts'

export async function adapterForTests(suite: string): Promise<boolean> {
  if (process.env.AXPO_ADAPTER === 'none') {
    console.warn(`${suite}: SKIPPED, AXPO_ADAPTER=none says that this machine has no WebGPU adapter.`)
    return false
  }
  if (!(await describeAdapter()))
    throw new Error(
      `${suite}: a WebGPU adapter is needed, got none. Run \`npm test\`, which brings a software driver, or set AXPO_ADAPTER=none to skip.`,
    )
  return true
}
