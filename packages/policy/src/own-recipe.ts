/** A recipe of the user's from JSON: a name, the recipe it starts from, and what it changes there. Not here: reading the file (apps/train). */
import { checkRecipe, type Recipe, recipeDefaults, settingNames, settingsOf } from './recipe.ts'
import { findRecipe, recipes } from './recipes.ts'

/** Letters inserted, deleted or exchanged to come from one word to the other. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}

/** ` Did you mean X?` where X is near, else nothing. */
function guess(word: string, names: readonly string[]): string {
  const near = names
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0]
  return near && near.distance <= 3 ? ` Did you mean ${near.name}?` : ''
}

/** It becomes a folder's name, and a label in tables. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

function nameOf(value: unknown, fallback: string): string {
  const name = value === undefined ? fallback : value
  if (typeof name !== 'string' || !namePattern.test(name))
    throw new Error(
      `recipe: name must be 1 to 64 letters, digits, dots, dashes or underscores, got ${JSON.stringify(name)}. Write a "name" into the recipe.`,
    )
  if (Object.hasOwn(recipes, name))
    throw new Error(`recipe: "${name}" is the name of a recipe that is there already. Write another "name" into yours.`)
  return name
}

function baseOf(value: unknown): Recipe {
  if (value === undefined) return recipes.axpo
  const known = Object.keys(recipes)
  if (typeof value !== 'string' || !known.includes(value))
    throw new Error(
      `recipe: base must be the name of a recipe, got ${JSON.stringify(value)}.${guess(`${value}`, known)} Choose one of: ${known.join(', ')}.`,
    )
  return findRecipe(value)
}

type Settings = Required<Recipe>
type Field = Exclude<keyof Settings, 'name'>

const forkFields: readonly Field[] = [
  'continuations',
  'ranking',
  'prefixCredit',
  'separateGroups',
  'forkAt',
  'adaptiveContinuations',
  'prefixWeight',
  'questionOrder',
]
const isDefault = (settings: Settings, field: Field): boolean => settings[field] === recipeDefaults[field]

/**
 * What a setting lacks for it to do anything in these settings, or null. A default that is written out claims nothing and passes, except prefix credit, which
 * says of itself that it is given.
 */
function missing(settings: Settings, field: Field): string | null {
  const { forkAt, budget, scale, aggregation, klWeight } = settings
  if (field === 'prefixCredit' && settings.prefixCredit && (forkAt === 'prompt' || forkAt === 'observation'))
    return `a prefix of the source's own that it goes to, which forkAt ${forkAt} has not. Set it to false`
  if (isDefault(settings, field)) return null
  if (forkFields.includes(field) && budget === 0) return 'a budget above 0. Leave it out, or give a budget'
  if ((field === 'ddof' || field === 'epsilon') && scale === 'none') return "scale 'group'. Leave it out"
  if (field === 'constantLength' && aggregation !== 'sequence-mean') return "aggregation 'sequence-mean'. Leave it out"
  if (field === 'klEstimator' && klWeight === 0) return 'a klWeight above 0. Leave it out, or give one'
  return null
}

/** Throws on what was written into a recipe but would do nothing there. Named recipes and runs' configurations are whole lists of settings and are not asked. */
function checkChanges(recipe: Recipe, changes: readonly string[]): void {
  const settings = settingsOf(recipe)
  for (const field of changes as Field[]) {
    const lacks = missing(settings, field)
    if (lacks !== null)
      throw new Error(
        `recipe ${recipe.name}: ${field} must have an effect, got ${JSON.stringify(settings[field])} without ${lacks}.`,
      )
  }
}

/** `value`: { name?, base? (axpo), and settings that differ from the base's }. `fallbackName` is for one without a name, such as its file's. Throws with what to correct. */
export function extendRecipe(value: unknown, fallbackName: string): Recipe {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new Error(
      `recipe: must be an object such as {"base": "axpo", "continuations": 8}, got ${JSON.stringify(value)}. Write one.`,
    )
  const { name: ownName, base, ...changes } = value as Record<string, unknown>
  const name = nameOf(ownName, fallbackName)
  for (const field of Object.keys(changes))
    if (!settingNames.includes(field))
      throw new Error(
        `recipe ${name}: ${field} is not a setting.${guess(field, settingNames)} The settings are: ${settingNames.join(', ')}.`,
      )
  const recipe = { ...baseOf(base), ...(changes as Partial<Recipe>), name }
  checkRecipe(recipe)
  checkChanges(recipe, Object.keys(changes))
  return recipe
}
