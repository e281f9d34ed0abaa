/** `axpo compare` at the command line, from random weights: killed and run again it ends with the bytes of an undisturbed one, and what was finished is reused. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openSession } from '@axpo/eval'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { headlineEasyShare, headlineFirstSeed } from './compare-plan.ts'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
let directory = ''
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-compare-'))
  const session = await openSession({ device: 'cpu', threads: 1 })
  session.model.initialise(7)
  await session.model.learner.save(join(directory, 'random'))
  await session.close()
})
afterAll(() => rmSync(directory, { recursive: true }))

function axpo(...args: string[]): { child: ChildProcess; output: () => string; end: Promise<number | null> } {
  // a dozen processes of the same program: compiled once
  const env = { ...process.env, NODE_COMPILE_CACHE: join(directory, 'compiled') }
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd: directory, env })
  let text = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (text += chunk))
  return { child, output: () => text, end: once(child, 'exit').then(([code]) => code as number | null) }
}

const sizes = '--recipes grpo,axpo --seeds 2 --steps 2 --questions 2 --eval-every 1 --eval-questions 6'
const more = '--validation-questions 3 --samples 4 --replicates 200 --checkpoint random'
const compare = (out: string, jobs: number) => ['compare', ...`${sizes} ${more} --out ${out} --jobs ${jobs}`.split(' ')]
const result = (out: string) => readFileSync(join(directory, out, 'compare.json'), 'utf8')
const finished = (out: string) =>
  globSync('cells/s-0.38/*/seed-*/evaluations/step-000002-test.json', { cwd: join(directory, out) })

describe('a comparison', { timeout: 480_000 }, () => {
  it('ends with the same bytes when it was killed, and again from its files alone', async () => {
    const calm = axpo(...compare('calm', 2))
    expect(await calm.end, calm.output()).toBe(0)
    expect(calm.output()).toContain('Difference to grpo: Pass@1')
    expect(calm.output()).toMatch(/2 seeds, 6 questions, 200 replicates/)
    // the headline's setting, and equal rollouts, without being asked for
    expect(JSON.parse(readFileSync(join(directory, 'calm/compare-plan.json'), 'utf8'))).toMatchObject({
      easyShares: [headlineEasyShare],
      seeds: [headlineFirstSeed, headlineFirstSeed + 1],
      equalRollouts: true,
    })

    // killed as soon as a cell has trained a step of its two
    const killed = axpo(...compare('killed', 2))
    const first = join(directory, 'killed/cells/s-0.38/grpo/seed-101/evaluations/step-000001-validation.json')
    while (!existsSync(first) && killed.child.exitCode === null) await new Promise((r) => setTimeout(r, 10))
    killed.child.kill('SIGKILL')
    await killed.end
    expect(finished('killed').length, killed.output()).toBeLessThan(4)

    const resumed = axpo(...compare('killed', 1))
    expect(await resumed.end, resumed.output()).toBe(0)
    expect(finished('killed')).toHaveLength(4)
    expect(result('killed')).toBe(result('calm'))

    const times = () => finished('killed').map((path) => statSync(join(directory, 'killed', path)).mtimeMs)
    const before = times()
    rmSync(join(directory, 'killed', 'compare.json'))
    const again = axpo('compare', '--from', 'killed', '--replicates', '200')
    expect(await again.end, again.output()).toBe(0)
    expect(result('killed')).toBe(result('calm'))
    const reused = axpo(...compare('killed', 1))
    expect(await reused.end, reused.output()).toBe(0)
    expect(times()).toEqual(before)
    expect(existsSync(join(directory, 'killed', 'lock'))).toBe(false)
    expect(globSync('cells/**/trajectories.msgpack', { cwd: join(directory, 'killed') })).toEqual([])

    const other = axpo(...compare('killed', 1), '--learning-rate', '1e-3')
    expect(await other.end).toBe(1)
    expect(other.output()).toMatch(/must hold a run with .*"learningRate":0.001.*Give another --out/)
    expect(result('killed')).toBe(result('calm'))
  })

  it.each([
    [['--recipes', 'grpo,ppo', '--s', '0.2,1'], /Unknown recipe "ppo". Choose one of: .*axpo, grpo/],
    [['--recipes', 'axpo', '--equal-rollouts'], /--equal-rollouts needs a baseline that spends the same rollouts/],
    [['--from', 'nowhere'], /nowhere without compare-plan.json/],
  ])('refuses %j', async (args, message) => {
    const run = axpo('compare', '--checkpoint', 'random', '--out', 'refused', ...args)
    expect(await run.end).toBe(1)
    expect(run.output()).toMatch(message)
    expect(run.output()).not.toMatch(/\n\s+at /)
  })
})
