/** The main job at the command line, small: evaluate, train, evaluate, report; stopped by Ctrl-C and gone on with; with a neighbour that cannot be read. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadMetrics, loadRunConfig } from './train.ts'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-job-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

interface Job {
  readonly child: ChildProcess
  readonly text: () => string
  readonly end: Promise<number | null>
}

function axpo(...args: string[]): Job {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk) => {
      text += chunk
    })
  return { child, text: () => text, end: once(child, 'close').then(([code]) => code as number | null) }
}

const cpu = ['--device', 'cpu', '--threads', '1']
const sizes = ['--questions', '2', '--eval-questions', '6', '--s', '0.25', '--seed', '3']
/** Label, family and Pass@1 of each row that was printed. */
const rows = (text: string) =>
  [...text.matchAll(/^(\S+)\s+(all|zoom|python|search)\s+([\d.]+) \[/gm)].map((m) => m.slice(1))

describe('the main job', { timeout: 240_000 }, () => {
  it('prints the table and writes a page that needs nothing else', async () => {
    const run = join(directory, 'runs', 'one')
    const bad = join(directory, 'runs', 'unreadable')
    mkdirSync(join(bad, 'evaluations'), { recursive: true })
    writeFileSync(join(bad, 'evaluations', 'after.msgpack'), 'no such format')
    const job = axpo('start', ...cpu, ...sizes, '--steps', '2', '--out', run)
    expect(await job.end, job.text()).toBe(0)
    expect(rows(job.text()).map(([label]) => label)).toEqual([...Array(4).fill('SFT'), ...Array(4).fill('axpo')])
    expect(job.text()).toMatch(/report: .*unreadable is left out/)
    const page = readFileSync(join(run, 'report.html'), 'utf8')
    expect(page.match(/<svg/g)!.length).toBeGreaterThanOrEqual(8)
    expect(page).toContain('src="data:image/png;base64,')
    expect(page).not.toMatch(/<script|(src|href)="(https?:|\.|\/)/)
    for (const [label, family, passAt1] of rows(job.text()))
      expect(page).toMatch(new RegExp(`${label}</td><td>${family}</td><td[^>]*>${passAt1}`))
    expect(loadMetrics(run)).toHaveLength(2)

    const again = axpo('report', run)
    expect(await again.end, again.text()).toBe(0)
    expect(rows(again.text())).toEqual(rows(job.text()))
  })

  it('stopped by Ctrl-C it ends the step; resumed it goes on with the settings and the evaluation it began with', async () => {
    const run = join(directory, 'stopped')
    const job = axpo('start', ...cpu, ...sizes, '--steps', '40', '--out', run)
    while (!job.text().includes('step  1/40')) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      if (job.child.exitCode !== null) throw new Error(job.text())
    }
    job.child.kill('SIGINT')
    expect(await job.end, job.text()).toBe(130)
    const done = loadMetrics(run).length
    expect(done).toBeGreaterThan(0)
    expect(done).toBeLessThan(40)
    expect(job.text()).toContain(`train --resume`)

    const refused = axpo('train', '--resume', run, '--steps', '50', '--recipe', 'grpo')
    expect(await refused.end).toBe(1)
    expect(refused.text()).toMatch(/--resume takes the run's own settings, got --recipe, --steps beside it/)

    const config = loadRunConfig(run)
    // fewer steps, so that the rest is short
    writeFileSync(
      join(run, 'config.json'),
      JSON.stringify({ ...config, settings: { ...config.settings, steps: done + 1 } }),
    )
    const rest = axpo('train', '--resume', run)
    expect(await rest.end, rest.text()).toBe(0)
    expect(rest.text()).toContain(`resumed at step ${done}`)
    expect(rest.text().match(/\b6 x 8\b/g)).toHaveLength(2)
    expect(loadMetrics(run)).toHaveLength(done + 1)
  })
})
