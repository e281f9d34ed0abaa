/** `axpo suite show`: flags in; sample items out as gallery.html and gallery.png, to look at. Not here: how they are drawn (@axpo/tasks). */
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { easyShareOption, familiesOption, integer, splitOption } from '@axpo/eval'
import {
  type AnyFamily,
  families,
  heldOutFamilies,
  loadQuestion,
  renderContactSheet,
  renderGallery,
  rightCalls,
  type Split,
} from '@axpo/tasks'
import type { Command } from 'commander'

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

/** Where the page and the picture lie. */
export interface ShownSuite {
  readonly page: string
  readonly picture: string
}

export async function suiteShow(options: SuiteShowOptions): Promise<ShownSuite> {
  const { out, count, split, easyShare } = options
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`suite show: count must be a positive integer, got ${count}.`)
  if (options.families.length === 0) throw new Error('suite show: at least one family is needed, got none.')
  const questions = options.families.flatMap((family) =>
    Array.from({ length: count }, (_, index) => loadQuestion(family, split, index, easyShare)),
  )
  await mkdir(out, { recursive: true })
  const page = join(out, 'gallery.html')
  await writeFile(page, renderGallery(questions, rightCalls))
  const picture = join(out, 'gallery.png')
  await writeFile(picture, renderContactSheet(questions, rightCalls))
  return { page, picture }
}

type ShowFlags = Omit<SuiteShowOptions, 'families'> & { readonly families?: readonly AnyFamily[] }

/** A held-out family has no train split. */
const familiesOf = (split: Split): readonly AnyFamily[] =>
  split === 'train' ? families : [...families, ...heldOutFamilies]

export function addShowCommand(suite: Command): void {
  suite
    .command('show')
    .description('draws sample items: a PNG contact sheet and an HTML gallery')
    .option('--out <folder>', 'where they go', 'runs/suite')
    .option('--count <n>', 'items a family', integer(1, 1000), 6)
    .addOption(splitOption('test'))
    .addOption(easyShareOption())
    .addOption(familiesOption().default(undefined, 'all that the split has'))
    .action(async (flags: ShowFlags) => {
      const shown = flags.families ?? familiesOf(flags.split)
      const { page, picture } = await suiteShow({ ...flags, families: shown, out: resolve(flags.out) })
      console.log(`gallery:       ${page}
contact sheet: ${picture}`)
    })
}
