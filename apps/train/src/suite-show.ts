/** `axpo suite show`: writes sample items as gallery.html and gallery.png, to look at. Not here: how they are drawn (@axpo/tasks), the flags (main.ts). */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type AnyFamily, loadQuestion, renderContactSheet, renderGallery, rightCalls, type Split } from '@axpo/tasks'

export interface SuiteShowOptions {
  /** Folder; made where it is missing. */
  readonly out: string
  /** Items a family. */
  readonly count: number
  readonly split: Split
  /** s: share of items that need no tool. */
  readonly easyShare: number
  readonly families: readonly AnyFamily[]
}

/** Path of the page. The PNG lies beside it. */
export async function suiteShow(options: SuiteShowOptions): Promise<string> {
  const { out, count, split, easyShare, families } = options
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`suite show: count must be a positive integer, got ${count}.`)
  if (families.length === 0) throw new Error('suite show: at least one family is needed, got none.')
  const questions = families.flatMap((family) =>
    Array.from({ length: count }, (_, index) => loadQuestion(family, split, index, easyShare)),
  )
  await mkdir(out, { recursive: true })
  const page = join(out, 'gallery.html')
  await writeFile(page, renderGallery(questions, rightCalls))
  await writeFile(join(out, 'gallery.png'), renderContactSheet(questions, rightCalls))
  return page
}
