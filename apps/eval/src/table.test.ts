import { expect, it } from 'vitest'
import { summariseByFamily } from './statistics.ts'
import { formatTable, intervalNote } from './table.ts'

it('says under the table what its intervals rest on', () => {
  const counts = (family: string) => ({
    questionId: family,
    family,
    samples: 4,
    correct: 1,
    toolUsing: 2,
    toolUsingCorrect: 1,
  })
  const rows = summariseByFamily([counts('zoom'), counts('python')], 1234, 5).map((summary) => ({
    label: 'a',
    summary,
  }))
  const lines = formatTable(rows).split('\n')
  expect(lines).toHaveLength(1 + 3 + 1)
  expect(lines.at(-1)).toBe(
    'Percent; in brackets 95 % percentile bootstrap intervals over questions, not over training seeds (1,234 replicates, bootstrap seed 5).',
  )
  const other = summariseByFamily([counts('zoom')]).map((summary) => ({ label: 'b', summary }))
  expect(intervalNote([...rows, ...other])).toContain(
    '(1,234 replicates, bootstrap seed 5; 2,000 replicates, bootstrap seed 1)',
  )
})
