/**
 * Specs of the built-in suite ("GapWorld"): pure functions of (family, split, difficulty, index). A spec says everything about an item; drawing and wording are
 * made from it (question.ts). Splits never share a spec: the split is decided by the spec's own hash.
 *
 * Three families are trained on; image_search is held out: for evaluation only, with a tool that no training prompt offers.
 *
 * Answers are digits 0-3. With probability s (chosen at run time) an item is easy: the answer also stands large in the top-right corner, so that no tool is needed.
 */
import { type IconVariant, iconVariants } from './icon-variant.ts'
import { createRandom, hashKey, type Random } from './random.ts'

export type Family = 'zoom' | 'python' | 'search'
export type HeldOutFamily = 'image_search'
export type AnyFamily = Family | HeldOutFamily
export type Split = 'train' | 'validation' | 'test'
export const families: readonly Family[] = ['zoom', 'python', 'search']
/** Families for evaluation only: no train split. */
export const heldOutFamilies: readonly HeldOutFamily[] = ['image_search']
export const splits: readonly Split[] = ['train', 'validation', 'test']

export interface Difficulty {
  /** Cells a side of the zoom grid: 2 or 4. */
  readonly grid: 2 | 4
  /** Filled cells of the zoom grid. */
  readonly filled: number
  /** Markers in use, at most 8. */
  readonly markers: number
  /** Entities with an icon, at most 32. */
  readonly entities: number
  /** Attributes an entity has, at most 8. */
  readonly attributes: number
  /** Other documents beside the wanted fact. */
  readonly distractors: number
  /** Standard deviation of the pixel noise, fraction of full scale. */
  readonly noise: number
}

export const defaultDifficulty: Difficulty = {
  grid: 4,
  filled: 6,
  markers: 8,
  entities: 32,
  attributes: 8,
  distractors: 24,
  noise: 0.05,
}

interface Base {
  readonly split: Split
  readonly index: number
  readonly difficulty: Difficulty
  /** 0-3 */
  readonly answer: number
  /** The item is easy when this is below s. */
  readonly easyDraw: number
}

export interface ZoomSpec extends Base {
  readonly family: 'zoom'
  /** Filled cells; the first is the one asked for. */
  readonly cells: readonly {
    readonly row: number
    readonly column: number
    readonly marker: number
    readonly digit: number
  }[]
}

export interface PythonSpec extends Base {
  readonly family: 'python'
  readonly a: number
  readonly b: number
}

export interface SearchSpec extends Base {
  readonly family: 'search'
  readonly entity: number
  readonly attribute: number
  /** Facts of the episode; the first is the one asked for, the others tell the same attribute of other entities: what a misread icon leads to. */
  readonly facts: readonly { readonly entity: number; readonly attribute: number; readonly value: number }[]
}

export interface ImageSearchSpec extends Omit<SearchSpec, 'family'> {
  readonly family: 'image_search'
  /** What was done to the entity's icon. */
  readonly variant: IconVariant
}

export type Spec = ZoomSpec | PythonSpec | SearchSpec | ImageSearchSpec

/** The expression of the python family. */
export function residue(a: number, b: number): number {
  return ((a * b) % 13) % 4
}

const range = (n: number) => [...Array(n).keys()]

function zoomSpec(base: Omit<ZoomSpec, 'family' | 'cells' | 'answer'>, random: Random): ZoomSpec {
  const { grid, filled, markers } = base.difficulty
  const answer = random.below(4)
  // the top-right cell stays free for the answer of easy items
  const places = range(grid * grid).filter((p) => p !== grid - 1)
  const chosen = random.draw(places, filled)
  const names = random.draw(range(markers), filled)
  const cells = chosen.map((p, i) => ({
    row: Math.floor(p / grid),
    column: p % grid,
    marker: names[i]!,
    digit: i === 0 ? answer : (answer + 1 + random.below(3)) % 4,
  }))
  return { ...base, family: 'zoom', answer, cells }
}

/** Operands are drawn again until the residue is the wanted answer, so that answers are uniform. */
function pythonSpec(base: Omit<PythonSpec, 'family' | 'a' | 'b' | 'answer'>, random: Random): PythonSpec {
  const answer = random.below(4)
  for (;;) {
    const a = 10 + random.below(90)
    const b = 10 + random.below(90)
    if (residue(a, b) === answer) return { ...base, family: 'python', answer, a, b }
  }
}

function searchSpec(
  base: Omit<SearchSpec, 'family' | 'entity' | 'attribute' | 'facts' | 'answer'>,
  random: Random,
): SearchSpec {
  const { entities, attributes, distractors } = base.difficulty
  const answer = random.below(4)
  const attribute = random.below(attributes)
  const facts = random.draw(range(entities), distractors + 1).map((entity, i) => ({
    entity,
    attribute,
    value: i === 0 ? answer : (answer + 1 + random.below(3)) % 4,
  }))
  return { ...base, family: 'search', answer, entity: facts[0]!.entity, attribute, facts }
}

function imageSearchSpec(base: Parameters<typeof searchSpec>[0], random: Random): ImageSearchSpec {
  return { ...searchSpec(base, random), family: 'image_search', variant: random.pick(iconVariants) }
}

function checkDifficulty(d: Difficulty): void {
  const rules: [boolean, string, number][] = [
    [d.grid === 2 || d.grid === 4, 'grid must be 2 or 4', d.grid],
    [
      d.filled >= 1 && d.filled < d.grid * d.grid && d.filled <= d.markers,
      'filled must be at least 1, below the cells and at most the markers',
      d.filled,
    ],
    [d.markers >= 1 && d.markers <= 8, 'markers must be 1 to 8', d.markers],
    [d.entities >= 1 && d.entities <= 32, 'entities must be 1 to 32', d.entities],
    [d.attributes >= 1 && d.attributes <= 8, 'attributes must be 1 to 8', d.attributes],
    [d.distractors >= 0 && d.distractors < d.entities, 'distractors must be fewer than the entities', d.distractors],
    [d.noise >= 0 && d.noise < 0.5, 'noise must lie in [0, 0.5)', d.noise],
  ]
  for (const [holds, rule, got] of rules) if (!holds) throw new Error(`difficulty: ${rule}, got ${got}.`)
}

/** What makes two specs the same item: everything but where it was drawn from. */
function content(spec: Spec): string {
  const { split: _split, index: _index, easyDraw: _easyDraw, ...rest } = spec
  return JSON.stringify(rest)
}

/** Split that a spec belongs to by its content: 80 % train, 10 % validation, 10 % test. */
export function splitOf(spec: Spec): Split {
  const bucket = hashKey(0, 'split', content(spec)) % 10
  return bucket < 8 ? 'train' : bucket === 8 ? 'validation' : 'test'
}

function drawSpec(family: AnyFamily, base: Omit<Base, 'answer'>, random: Random): Spec {
  if (family === 'zoom') return zoomSpec(base, random)
  if (family === 'python') return pythonSpec(base, random)
  return family === 'search' ? searchSpec(base, random) : imageSearchSpec(base, random)
}

/** The item at `index` of a split. Draws again until the content belongs to the split, so no item is in two. */
export function generateSpec(
  family: AnyFamily,
  split: Split,
  index: number,
  difficulty: Difficulty = defaultDifficulty,
): Spec {
  const known: readonly string[] = [...families, ...heldOutFamilies]
  if (!known.includes(family))
    throw new Error(`generateSpec: unknown family "${family}". Choose one of: ${known.join(', ')}.`)
  if (split === 'train' && (heldOutFamilies as readonly string[]).includes(family))
    throw new Error(
      `generateSpec: ${family} is held out and has no train split, got split "train". Use validation or test, or a trained family: ${families.join(', ')}.`,
    )
  checkDifficulty(difficulty)
  for (let attempt = 0; ; attempt++) {
    const random = createRandom(family, split, index, attempt, JSON.stringify(difficulty))
    const spec = drawSpec(family, { split, index, difficulty, easyDraw: random.uniform() }, random)
    if (splitOf(spec) === split) return spec
  }
}
