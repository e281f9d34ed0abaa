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

/** Three processes that live two to three steps each must not reach the end; a checkpoint lies at every second step. */
const steps = 12

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

/** Starts a run and kills its process three times, at random moments; null: a process came to its end before its kill. */
async function killThrice(out: string): Promise<string[] | null> {
  const moments: string[] = []
  let args = fresh(out)
  while (moments.length < 3) {
    const run = axpo(args)
    // after a random number of steps of this process, then a random part of the next
    const wanted = 1 + Math.floor(Math.random() * 2)
    while (run.child.exitCode === null && (run.output().match(/^step/gm)?.length ?? 0) < wanted)
      await new Promise((r) => setTimeout(r, 20))
    await new Promise((r) => setTimeout(r, Math.random() * 400))
    run.child.kill('SIGKILL')
    const code = await run.end
    if (code === 0) return null
    expect(code, run.output()).toBeNull()
    const reached = run.output().match(/step +\d+/g)
    moments.push(reached?.at(-1) ?? 'before the first step')
    args = [...common, '--resume', out]
  }
  return moments
}

describe('a run killed at any moment', () => {
  it('ends with the same bytes as an undisturbed one', { timeout: 240_000 }, async () => {
    const calm = axpo(fresh(join(directory, 'calm')))
    expect(await calm.end, calm.output()).toBe(0)

    // which steps the kills meet is chance: a run that was faster than its killer is begun again in another folder
    let killed = ''
    let moments: string[] | null = null
    for (let attempt = 0; moments === null && attempt < 5; attempt++) {
      killed = join(directory, `killed-${attempt}`)
      moments = await killThrice(killed)
    }
    expect(moments, 'five runs ended before their third kill').not.toBeNull()
    const last = axpo([...common, '--resume', killed])
    expect(await last.end, last.output()).toBe(0)
    const checkpoint = ['checkpoints', `step-0000${String(steps).padStart(2, '0')}`]
    for (const path of [
      ['metrics.jsonl'],
      ['trajectories.msgpack'],
      [...checkpoint, 'model.safetensors'],
      [...checkpoint, 'optimiser.safetensors'],
    ]) {
      const same = readFileSync(join(killed, ...path)).equals(readFileSync(join(directory, 'calm', ...path)))
      expect(same, `${path.join('/')}, killed after ${moments}`).toBe(true)
    }
  })
})
