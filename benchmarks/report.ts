/** Tables on stdout, and the same as Markdown and JSON under results/, each with machine, date and command. */
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { describeLoad, type Load, loadAverage } from './load.ts'

export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
  /** What the reader must know to read it: sizes, what is counted, what could not run. */
  readonly notes: readonly string[]
}

export interface Report {
  readonly name: string
  readonly command: string
  readonly tables: readonly Table[]
  readonly notes: readonly string[]
  readonly seconds: number
  /** At the start; left out by programs whose figures are not times. */
  readonly load?: Load
  /** Anything more for the JSON file: samples of all repetitions. */
  readonly samples?: unknown
}

export function describeMachine() {
  const list = cpus()
  return {
    cpu: `${list[0]?.model ?? 'unknown'} x ${list.length}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${arch()} ${release()}`,
    node: process.versions.node,
    v8: process.versions.v8,
  }
}

export function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, {
        cwd: import.meta.dirname,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim()
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with changes'}`
  } catch {
    return 'unknown'
  }
}

export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const size = Math.abs(value)
  if (size >= 1000 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-GB').replaceAll(',', ' ')
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)
}

const cell = (value: string | number) => (typeof value === 'number' ? shortNumber(value) : value)

export function printTable({ title, columns, rows, notes }: Table): void {
  const texts = [columns, ...rows.map((row) => row.map(cell))]
  const widths = columns.map((_, i) => Math.max(...texts.map((row) => (row[i] ?? '').length)))
  const numeric = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number'))
  process.stdout.write(`\n${title}\n`)
  for (const row of texts)
    process.stdout.write(
      `  ${row.map((text, i) => (numeric[i] ? text.padStart(widths[i]!) : text.padEnd(widths[i]!))).join('  ')}\n`,
    )
  for (const note of notes) process.stdout.write(`  ${note}\n`)
}

function markdownTable({ title, columns, rows, notes }: Table): string {
  const numeric = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number'))
  const line = (parts: readonly string[]) => `| ${parts.join(' | ')} |`
  return [
    `## ${title}`,
    '',
    line(columns),
    line(numeric.map((is) => (is ? '---:' : '---'))),
    ...rows.map((row) => line(row.map(cell))),
    ...notes.flatMap((note) => ['', note]),
    '',
  ].join('\n')
}

/** results/<name>.json and results/<name>.md. */
export async function writeReport(report: Report): Promise<void> {
  const machine = describeMachine()
  const date = new Date().toISOString()
  const directory = new URL('./results/', import.meta.url)
  await mkdir(directory, { recursive: true })
  const { name, command, tables, notes, seconds } = report
  const endAverage = loadAverage()
  const load = report.load ? { ...report.load, endAverage } : null
  const head = { command, date, commit: commit(), machine, load, seconds: Math.round(seconds), notes }
  const markdown = [
    `# ${name}`,
    '',
    `\`${command}\`, ${date.slice(0, 16).replace('T', ' ')} UTC, commit ${head.commit}, ${head.seconds} s.`,
    `${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}.`,
    ...(report.load ? ['', describeLoad(report.load, endAverage)] : []),
    ...notes.flatMap((note) => ['', note]),
    '',
    ...tables.map(markdownTable),
  ].join('\n')
  await writeFile(new URL(`${name}.md`, directory), `${markdown.trimEnd()}\n`)
  await writeFile(
    new URL(`${name}.json`, directory),
    `${JSON.stringify({ ...head, tables, ...(report.samples ? { samples: report.samples } : {}) }, null, 1)}\n`,
  )
  process.stdout.write(`\nwritten: ${fileURLToPath(new URL(name, directory))}.{md,json}\n`)
}
