/** db[1, width] += sum of the rows of dy, in row order: gradient of a bias. Not an op by itself. */
import { flatWorkgroups, kernel } from '../definition.ts'

export const columnSum = kernel(
  import.meta.url,
  'column_sum',
  'dy +db',
  'rows width',
  (w) => flatWorkgroups(w.width!, 64),
  { chunk: { of: 'width', items: 64 } },
)
