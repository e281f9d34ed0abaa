/** A recipe as the command line names it: one of the project's, or a JSON file of the user's with what it changes. Also a recipe inside a run's JSON. */
import { existsSync, readFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { extendRecipe, findRecipe, parseRecipe, type Recipe, recipes } from '@axpo/policy'
import * as z from 'zod'

/** Checked by the policy layer, whose settings these are. */
export const recipeSchema = z.unknown().transform((value, context): Recipe => {
  try {
    return parseRecipe(value)
  } catch (error) {
    context.issues.push({ code: 'custom', message: (error as Error).message, input: value })
    return z.NEVER
  }
})

const isFile = (text: string): boolean => text.toLowerCase().endsWith('.json')

function readRecipe(path: string): Recipe {
  if (!existsSync(path))
    throw new Error(
      `${path}: must be a recipe file, got none there. Check the path, or write one such as {"base": "axpo", "continuations": 8}.`,
    )
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new Error(`${path}: must hold JSON, got ${(error as Error).message}. Correct it there.`)
  }
  try {
    return extendRecipe(value, basename(path).slice(0, -'.json'.length))
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`)
  }
}

/** `text`: a recipe's name, or the path of a JSON file (docs/your-own-recipe.md). Throws with what to correct. */
export function loadRecipe(text: string): Recipe {
  if (isFile(text)) return readRecipe(resolve(text))
  if (!Object.hasOwn(recipes, text))
    throw new Error(
      `Unknown recipe "${text}". Choose one of: ${Object.keys(recipes).join(', ')}; or give a recipe file (.json).`,
    )
  return findRecipe(text)
}

/** Whether a recipe is one of the project's, by its name: a file's may not take it. */
export const isNamed = ({ name }: Recipe): boolean => Object.hasOwn(recipes, name)
