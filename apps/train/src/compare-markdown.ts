/** compare.md, and the shorter text for the terminal. Not here: figures (compare-html.ts). */
import type { CompareResult } from './compare-result.ts'
import { groupTitle, mapTable, settingsLine, type Table, tablesOf } from './compare-table.ts'
import type { CompareTimes } from './compare-times.ts'

const cell = (text: string): string => text.replaceAll('|', '\\|')

function markdownTable(table: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`
  const rule = line(table.head.map((_, i) => (i === 0 ? '---' : '---:')))
  return [`### ${table.title}`, '', line(table.head), rule, ...table.rows.map(line), '', table.note, ''].join('\n')
}

export function compareMarkdown(result: CompareResult, times: CompareTimes): string {
  const map = mapTable(result)
  return [
    `# Comparison: ${result.plan.recipes.join(', ')}`,
    '',
    settingsLine(result),
    '',
    ...(map ? [markdownTable(map)] : []),
    ...result.groups.flatMap((group) => [
      `## ${groupTitle(result, group)}`,
      '',
      ...tablesOf(result, group, times).map(markdownTable),
    ]),
  ].join('\n')
}

function textTable(table: Table): string {
  const lines = [table.head, ...table.rows]
  const widths = table.head.map((_, c) => Math.max(...lines.map((l) => l[c]!.length)))
  const shown = lines.map((l) => l.map((v, c) => (c === 0 ? v.padEnd(widths[c]!) : v.padStart(widths[c]!))).join('  '))
  return [table.title, ...shown].join('\n')
}

/** Scores, differences of Pass@1, rates and cost: the rest stands in the files. */
export function compareText(result: CompareResult, times: CompareTimes): string {
  const shown = (t: Table) => !/^(Pass@1 family|Diagnostics|Difference to .*: (Pass@4|area))/.test(t.title)
  const map = mapTable(result)
  return [
    ...(map ? [textTable(map)] : []),
    ...result.groups.flatMap((group) => [
      groupTitle(result, group),
      ...tablesOf(result, group, times).filter(shown).map(textTable),
    ]),
  ].join('\n\n')
}
