/** A call with its own time limit: its signal is aborted, and the call is a time-out whether or not it listens. */
import type { ToolResult } from './tool.ts'

/** Aborting `outer` aborts the call too; what it throws stays its own. */
export async function limitTime(
  timeoutMs: number,
  outer: AbortSignal,
  call: (signal: AbortSignal) => Promise<ToolResult>,
): Promise<ToolResult> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<ToolResult>((resolve) => {
    timer = setTimeout(() => {
      // before the abort: a call that rejects because of it is a time-out all the same
      resolve({ status: 'timeout', text: '' })
      controller.abort(new Error(`timed out after ${timeoutMs / 1000} s`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([late, call(AbortSignal.any([outer, controller.signal]))])
  } finally {
    clearTimeout(timer)
  }
}
