import fc from 'fast-check'
import { expect, test } from 'vitest'
import { extendRecipe, parseRecipe, recipeDefaults, recipes, settingsOf } from './index.ts'

test('what is not named is the base; the base is axpo where none is named', () => {
  expect(extendRecipe({ continuations: 8, budget: 0.5 }, 'wide')).toEqual({
    ...recipes.axpo,
    name: 'wide',
    continuations: 8,
    budget: 0.5,
  })
  expect(extendRecipe({ base: 'gspo', name: 'gspo-4', miniBatches: 4 }, 'file')).toEqual({
    ...recipes.gspo,
    name: 'gspo-4',
    miniBatches: 4,
  })
  expect(extendRecipe({ prefixWeight: 0.5, questionOrder: 'batch' }, 'mine')).toEqual({
    ...recipes.axpo,
    name: 'mine',
    prefixWeight: 0.5,
    questionOrder: 'batch',
  })
  // as a run's configuration holds it
  const written = JSON.stringify(extendRecipe({ base: 'cispo', epochs: 2 }, 'mine'))
  expect(parseRecipe(JSON.parse(written))).toEqual({ ...recipes.cispo, name: 'mine', epochs: 2 })
})

test.each([
  [[1], /^recipe: must be an object such as \{"base": "axpo", "continuations": 8\}, got \[1\]\. Write one\.$/],
  ['grpo', /must be an object .*, got "grpo"/],
  [
    { base: 'gpro' },
    /^recipe: base must be the name of a recipe, got "gpro"\. Did you mean grpo\? Choose one of: .*axpo, grpo, /,
  ],
  [{ base: 3 }, /base must be the name of a recipe, got 3\. Choose/],
  [{ name: 'a/b' }, /name must be 1 to 64 letters, .*, got "a\/b"\. Write a "name"/],
  [{ name: 7 }, /name must be .*, got 7/],
  [{ name: null }, /name must be .*, got null\. Write a "name"/],
  [{ name: 'axpo' }, /"axpo" is the name of a recipe that is there already\. Write another "name"/],
  [
    { budgte: 1 },
    /^recipe mine: budgte is not a setting\. Did you mean budget\? The settings are: rollouts, continuations, /,
  ],
  [{ learningRate: 1 }, /learningRate is not a setting\. The settings are/],
  [{ toString: 1 }, /toString is not a setting/],
  [{ budget: '0.5' }, /^recipe mine: budget must be >= 0, got "0\.5"\. Correct it there\.$/],
  [{ budget: null }, /budget must be >= 0, got null/],
  [{ clipLow: '0.2' }, /clipLow must lie in \[0, 1\], got "0\.2"/],
  [{ clipLow: null }, /clipLow must lie in \[0, 1\], got null/],
  [{ rollouts: 2.5 }, /rollouts must be an integer >= 1, got 2\.5/],
  [{ forkAt: ['call'] }, /forkAt must be one of: call, .*, got \["call"\]/],
  [{ prefixCredit: 'no' }, /prefixCredit must be true or false, got "no"/],
  [{ miniBatches: 0 }, /miniBatches must be an integer >= 1, got 0/],
  [{ epochs: 1.5 }, /epochs must be an integer >= 1, got 1\.5/],
  [{ dualClip: 1 }, /dualClip must be 0 \(off\) or more than 1, got 1/],
  [{ ratioCap: 0.5 }, /ratioCap must be 0 \(off\) or at least 1, got 0\.5/],
  [{ klEstimator: 'k4' }, /klEstimator must be one of: k1, k2, k3, abs, k1\+, k3\+, got "k4"/],
  [{ entropyBonus: {} }, /entropyBonus must be a finite number, got \{\}/],
  [{ base: 'cispo', dualClip: 3 }, /dualClip and ratioCap have no meaning for cispo, .*Set them to 0/],
  [
    { base: 'axpo', toolBonus: 0.1 },
    /toolBonus and budget do not combine, got 0\.1 and 0\.25\. Set one of them to 0\./,
  ],
  [{ prefixWeight: 0 }, /prefixWeight must be above 0, got 0/],
  [{ questionOrder: 'random' }, /questionOrder must be one of: uncertainty, batch, got "random"/],
  [{ base: 'arpo', prefixWeight: 2 }, /prefixWeight has no meaning with forkAt observation, .*got 2\. Set it to 1\./],
  [
    { forkAt: 'prompt', prefixCredit: true },
    /^recipe mine: prefixCredit must have an effect, got true without a prefix .*, which forkAt prompt has not\. Set it to false\.$/,
  ],
  [{ base: 'arpo', prefixCredit: true }, /prefixCredit must have an effect, .* which forkAt observation has not/],
  [
    { base: 'grpo', prefixWeight: 2 },
    /prefixWeight must have an effect, got 2 without a budget above 0\. Leave it out/,
  ],
  [{ base: 'grpo', ranking: 'entropy' }, /ranking must have an effect, got "entropy" without a budget above 0/],
  [{ base: 'dr-grpo', epsilon: 1e-4 }, /epsilon must have an effect, got 0\.0001 without scale 'group'/],
  [{ base: 'cispo', constantLength: 192 }, /constantLength must have an effect, .*'sequence-mean'\. Leave it out\./],
  [{ klWeight: 0, klEstimator: 'k1' }, /klEstimator must have an effect, got "k1" without a klWeight above 0/],
])('%j is refused, with what to correct', (value, message) => {
  expect(() => extendRecipe(value, 'mine')).toThrow(message)
})

test('a default written out passes: a whole list of settings stays a recipe', () => {
  for (const base of [recipes.grpo, recipes.axpo, recipes['dr-grpo'], recipes.cispo])
    expect(settingsOf(extendRecipe({ ...settingsOf(base), name: 'whole' }, 'whole'))).toEqual({
      ...settingsOf(base),
      name: 'whole',
    })
  expect(extendRecipe({ forkAt: 'prompt', prefixCredit: false }, 'mine').prefixCredit).toBe(false)
  // what the base has is not the user's claim
  expect(extendRecipe({ base: 'axpo-scratch', continuations: 8 }, 'mine').forkAt).toBe('prompt')
})

test('property: whatever JSON stands there, a recipe comes out whole or one error says why', () => {
  const field = fc.constantFrom(...Object.keys(recipeDefaults), 'base', 'name', 'nothing')
  fc.assert(
    fc.property(fc.dictionary(field, fc.oneof(fc.jsonValue(), fc.constantFrom('grpo', 'mine'))), (value) => {
      try {
        const recipe = extendRecipe(value, 'mine')
        for (const [key, setting] of Object.entries(settingsOf(recipe))) {
          const own = (value as Record<string, unknown>)[key]
          expect(typeof setting).toBe(
            key === 'name' ? 'string' : typeof recipeDefaults[key as keyof typeof recipeDefaults],
          )
          if (own !== undefined) expect(setting).toEqual(own)
        }
      } catch (error) {
        expect((error as Error).message).toMatch(/^recipe( \S+)?: .+[.?]( .+)?$/s)
      }
    }),
    { numRuns: 300 },
  )
})
