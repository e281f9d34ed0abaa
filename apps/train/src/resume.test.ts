/** Kills real training processes with SIGKILL at random moments: the resumed run must end with the bytes of an undisturbed one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-resume-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const steps = 6

function axpo(args: readonly string[]): { child: ChildProcess; output: () => string; end: Promise<number | null> } {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (text += chunk))
  return { child, output: () => text, end: once(child, 'exit').then(([code]) => code as number | null) }
}

const common = ['train', '--device', 'cpu', '--threads', '1']
const fresh = (out: string) => [
  ...common,
  ...['--questions', '3', '--steps', String(steps), '--checkpoint-every', '2', '--out', out],
]
const file = (run: string, ...path: string[]) => readFileSync(join(directory, run, ...path))

describe('a run killed at any moment', () => {
  it('ends with the same bytes as an undisturbed one', { timeout: 240_000 }, async () => {
    const calm = axpo(fresh(join(directory, 'calm')))
    expect(await calm.end, calm.output()).toBe(0)

    const killed = join(directory, 'killed')
    const moments: string[] = []
    let args = fresh(killed)
    for (let kills = 0; kills < 3; ) {
      const run = axpo(args)
      // after a random number of steps of this process, then a random part of the next
      const wanted = 1 + Math.floor(Math.random() * 2)
      while (run.child.exitCode === null && (run.output().match(/^step/gm)?.length ?? 0) < wanted)
        await new Promise((r) => setTimeout(r, 20))
      await new Promise((r) => setTimeout(r, Math.random() * 400))
      if (run.child.exitCode !== null) break
      run.child.kill('SIGKILL')
      await run.end
      kills++
      moments.push(
        run
          .output()
          .match(/step +\d+/g)
          ?.at(-1) ?? 'before the first step',
      )
      args = [...common, '--resume', killed]
    }
    expect(moments).toHaveLength(3)
    const last = axpo([...common, '--resume', killed])
    expect(await last.end, last.output()).toBe(0)
    const checkpoint = ['checkpoints', `step-00000${steps}`]
    for (const path of [
      ['metrics.jsonl'],
      ['trajectories.msgpack'],
      [...checkpoint, 'model.safetensors'],
      [...checkpoint, 'optimiser.safetensors'],
    ])
      expect(file('killed', ...path).equals(file('calm', ...path)), `${path.join('/')}, killed after ${moments}`).toBe(
        true,
      )
  })
})
