/**
 * Prints the toy world's table: g, recipe, tool rate, q, accuracy, collapsed runs. For example: node packages/policy/scripts/toy-table.ts --recipes grpo,axpo --guess
 * 0.25,0.4,0.5 --seeds 20 --steps 300. --updates: passes over a step's rollouts instead of the recipe's. --kind: plain, graded
 * (calls may be right in part) or two-calls.
 */
import { parseArgs } from 'node:util'
import { loadAdvantage } from '@axpo/advantage'
import { findRecipe, recipes } from '../src/index.ts'
import { runToy, type ToyKindName, type ToyRun, toyKinds } from '../src/toy/index.ts'

const { values } = parseArgs({
  options: {
    recipes: { type: 'string', default: Object.keys(recipes).join(',') },
    guess: { type: 'string', default: '0.25,0.4,0.5' },
    seeds: { type: 'string', default: '20' },
    steps: { type: 'string', default: '300' },
    updates: { type: 'string' },
    kind: { type: 'string', default: 'plain' },
  },
})
const isKind = (name: string): name is ToyKindName => Object.hasOwn(toyKinds, name)
const [seeds, steps] = [Number(values.seeds), Number(values.steps)]
const passes = values.updates === undefined ? {} : { updates: Number(values.updates) }
const { kind } = values
if (!isKind(kind))
  throw new Error(`toy-table: --kind must be one of: ${Object.keys(toyKinds).join(', ')}, got ${kind}.`)
const advantage = await loadAdvantage()

console.log(
  `${kind} world, ${seeds} seeds, ${steps} steps, ${values.updates ?? "each recipe's"} passes a step; a run has collapsed when its tool rate is below 0.1\n`,
)
console.log('| g | recipe | tool rate | q | accuracy | collapsed | rollouts a step |')
console.log('| --- | --- | --- | --- | --- | --- | --- |')
for (const guess of values.guess.split(',').map(Number))
  for (const recipe of values.recipes.split(',').map(findRecipe)) {
    // the toy's longest response, where a recipe divides by a constant
    const own = recipe.constantLength ? { ...recipe, constantLength: toyKinds[kind].calls === 2 ? 8 : 5 } : recipe
    const runs = Array.from({ length: seeds }, (_, i) =>
      runToy(advantage, { recipe: own, seed: i + 1, steps, guess, kind, ...passes }),
    )
    const mean = (f: (run: ToyRun) => number) => runs.reduce((n, run) => n + f(run), 0) / runs.length
    const last = (run: ToyRun) => run.curve.at(-1)!
    const rates = [mean((r) => last(r).toolRate), mean((r) => last(r).callRight), mean((r) => last(r).accuracy)]
    const collapsed = runs.filter((r) => last(r).toolRate < 0.1).length
    const cost = mean((r) => (r.rollouts + r.continuations) / steps)
    console.log(
      `| ${guess} | ${recipe.name} | ${rates.map((r) => r.toFixed(2)).join(' | ')} | ${collapsed} | ${cost.toFixed(0)} |`,
    )
  }
