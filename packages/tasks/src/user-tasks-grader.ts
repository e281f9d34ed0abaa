/** How an answer to a user's question is judged, by rule: from 0 to 1, where all but `parts` and `own` give 1 or 0; no answer is 0. Not here: judging by a model. */

export type Grader =
  /** The same characters, but for white space at the ends. */
  | { readonly kind: 'exact' }
  /** The answer's only number, at most `tolerance` away. */
  | { readonly kind: 'number'; readonly tolerance: number }
  /** The letter of an option (`B`, `(B)`, `B. blue`), or its text. */
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  /** The right answer stands in it as whole words; case does not matter. */
  | { readonly kind: 'contained' }
  /** A list separated by commas, semicolons or lines, in any order: the share of the parts that are in it; more entries than parts share the credit. Case does not matter. */
  | { readonly kind: 'parts'; readonly parts: readonly string[] }
  /** A function of the user's, from 0 to 1 (user-tasks-module.ts). */
  | { readonly kind: 'own'; readonly grade: (answer: string) => number }

/** Those that a line of a file may name. */
export const graderKinds = ['exact', 'number', 'choice', 'contained', 'parts'] as const satisfies Grader['kind'][]

const folded = (text: string): string => text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim()

const numbers = /[-+\u2212]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?/g

/** The only number in a text; null when there is none, or several. Commas may group thousands. */
export function onlyNumber(text: string): number | null {
  const found = text.match(numbers) ?? []
  if (found.length !== 1) return null
  return Number(found[0].replace(/,/g, '').replace('\u2212', '-'))
}

/** `A` for 0. */
export const choiceLetter = (index: number): string => String.fromCharCode(65 + index)

/** Index of the option that an answer names; null: none. */
export function chosenOption(choices: readonly string[], answer: string): number | null {
  const text = answer.trim()
  const letter = /^\(?([A-Za-z])(?:\)?\.?$|[.:)])/.exec(text)?.[1]
  const index = letter ? letter.toUpperCase().charCodeAt(0) - 65 : -1
  if (index >= 0 && index < choices.length) return index
  const byText = choices.findIndex((choice) => folded(choice) === folded(text))
  return byText < 0 ? null : byText
}

function contains(answer: string, gold: string): boolean {
  const text = folded(answer)
  const wanted = folded(gold)
  const isWord = (c: string | undefined) => c !== undefined && /[\p{L}\p{N}]/u.test(c)
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    const before = isWord(text[at - 1]) && isWord(wanted[0])
    const after = isWord(text[at + wanted.length]) && isWord(wanted.at(-1))
    if (!before && !after) return true
  }
  return false
}

/** The entries of a list in an answer, each once. */
export function partsOf(answer: string): ReadonlySet<string> {
  return new Set(
    answer
      .split(/[,;\n]/)
      .map(folded)
      .filter((part) => part !== ''),
  )
}

function gradeParts(parts: readonly string[], answer: string): number {
  const given = partsOf(answer)
  const found = parts.filter((part) => given.has(folded(part))).length
  return found / Math.max(parts.length, given.size)
}

/** `gold`: the right answer; of a choice, its letter. */
export function gradeAnswer(grader: Grader, gold: string, answer: string | null): number {
  if (answer === null || answer.trim() === '') return 0
  if (grader.kind === 'own') return grader.grade(answer)
  if (grader.kind === 'parts') return gradeParts(grader.parts, answer)
  if (grader.kind === 'exact') return answer.trim() === gold.trim() ? 1 : 0
  if (grader.kind === 'contained') return contains(answer, gold) ? 1 : 0
  if (grader.kind === 'choice') {
    const index = chosenOption(grader.choices, answer)
    return index !== null && choiceLetter(index) === gold ? 1 : 0
  }
  const got = onlyNumber(answer)
  // a decimal that lies exactly at the tolerance is within it
  const slack = 1e-12 * Math.max(1, Math.abs(Number(gold)))
  return got !== null && Math.abs(got - Number(gold)) <= grader.tolerance + slack ? 1 : 0
}
