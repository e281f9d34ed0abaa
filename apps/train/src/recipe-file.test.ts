/** A recipe file at the command line: trained with, stored whole in the run folder, not needed any more when the run goes on; compared beside a named one; refused with what to correct. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recipes } from '@axpo/policy'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runAxpo } from './command-line.fixture.ts'
import { loadPlan } from './compare-plan.ts'
import { isNamed, loadRecipe } from './recipe-file.ts'
import { checkpointSteps } from './run-folder.ts'
import { loadMetrics, loadRunConfig } from './train.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-recipe-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function write(name: string, value: unknown): string {
  writeFileSync(join(directory, name), typeof value === 'string' ? value : JSON.stringify(value))
  return join(directory, name)
}

const axpo = (...args: string[]) => runAxpo(directory, ...args)

const small = ['--device', 'cpu', '--threads', '1', '--questions', '2']

describe('reading', () => {
  it('is named by its file, or by its name; a name alone is a recipe of the project', () => {
    const wide = loadRecipe(write('wide.json', { continuations: 8 }))
    expect([wide.name, wide.continuations, isNamed(wide)]).toEqual(['wide', 8, false])
    expect(loadRecipe(write('b.JSON', { base: 'gspo', name: 'four', miniBatches: 4 }))).toMatchObject({
      name: 'four',
      surrogate: 'gspo',
    })
    expect(loadRecipe('grpo')).toBe(recipes.grpo)
    expect(isNamed(recipes.grpo)).toBe(true)
  })

  it('says which file, what is wrong and what to do', () => {
    expect(() => loadRecipe(join(directory, 'none.json'))).toThrow(
      /none\.json: must be a recipe file, got none there\. Check/,
    )
    expect(() => loadRecipe(write('torn.json', '{"base": '))).toThrow(
      /torn\.json: must hold JSON, got .*Correct it there/,
    )
    expect(() => loadRecipe(write('typo.json', { budgte: 1 }))).toThrow(
      /typo\.json: recipe typo: budgte is not a setting\. Did you mean budget\?/,
    )
    expect(() => loadRecipe(write('axpo.json', {}))).toThrow(/axpo\.json: recipe: "axpo" is the name of a recipe/)
    expect(() => loadRecipe('toString')).toThrow(
      /Unknown recipe "toString"\. Choose one of: .*axpo, .*recipe file \(\.json\)/,
    )
  })
})

describe('at the command line', { timeout: 240_000 }, () => {
  it('train: the run holds the recipe and goes on without the file', async () => {
    const file = write('mine.json', { base: 'gspo', miniBatches: 2, epochs: 2, klWeight: 1e-3 })
    const run = join(directory, 'run')
    const first = await axpo(
      'train',
      '--recipe',
      file,
      ...small,
      '--steps',
      '1',
      '--checkpoint-every',
      '1',
      '--out',
      run,
    )
    expect(first.code, first.text).toBe(0)
    const config = loadRunConfig(run)
    expect(config.settings.recipe).toEqual(loadRecipe(file))
    expect(loadMetrics(run)[0]).toMatchObject({ updates: 4, samplerGapNats: 0 })

    rmSync(file)
    writeFileSync(join(run, 'config.json'), JSON.stringify({ ...config, settings: { ...config.settings, steps: 2 } }))
    const rest = await axpo('train', '--resume', run)
    expect(rest.code, rest.text).toBe(0)
    expect(checkpointSteps(run)).toEqual([1, 2])
    expect(loadMetrics(run)[1]).toMatchObject({ step: 2, updates: 4 })
  })

  it('compare: beside a named recipe, as the baseline too, and again from the folder alone', async () => {
    const file = write('two.json', { base: 'grpo', epochs: 2 })
    const sizes = '--seeds 1 --steps 1 --questions 2 --eval-every 1 --eval-questions 3 --validation-questions 3'.split(
      ' ',
    )
    const more = ['--samples', '1', '--replicates', '100', '--jobs', '2', '--suite', 'gapworld', '--out', 'both']
    const done = await axpo('compare', '--recipes', `axpo,${file}`, '--baseline', file, ...sizes, ...more)
    expect(done.code, done.text).toBe(0)
    expect(done.text).toContain('Difference to two: Pass@1')
    expect(loadPlan(join(directory, 'both'))).toMatchObject({
      recipes: ['axpo', 'two'],
      baseline: 'two',
      ownRecipes: [{ ...recipes.grpo, name: 'two', epochs: 2 }],
    })
    const page = readFileSync(join(directory, 'both', 'compare.md'), 'utf8')
    expect(page).toContain("Recipes of the user's own, by what differs from axpo: two: budget 0, epochs 2.")

    rmSync(file)
    const again = await axpo('compare', '--from', 'both', '--replicates', '100')
    expect(again.code, again.text).toBe(0)
    expect(readFileSync(join(directory, 'both', 'compare.md'), 'utf8')).toBe(page)
  })

  it.each([
    [
      ['train'],
      '--recipe',
      '{"base": "axpo", "forkAt": "act"}',
      /bad\.json: recipe bad: forkAt must be one of: call, .*, got "act"/,
    ],
    [
      ['compare', '--seeds', '1'],
      '--recipes',
      '{"rollouts": "8"}',
      /bad\.json: recipe bad: rollouts must be an integer >= 1, got "8"/,
    ],
    [['start'], '--recipe', '[]', /bad\.json: recipe: must be an object/],
    [
      ['train', ...small],
      '--recipe',
      '{"miniBatches": 3}',
      /recipe bad: miniBatches must be at most the questions of a step, got 3 for 2\. Give more --questions/,
    ],
  ])('%j refuses a bad file, and begins nothing', async (command, flag, text, message) => {
    const out = join(directory, 'refused')
    const ended = await axpo(...command, flag, write('bad.json', text), '--out', out)
    expect(ended.code).toBe(1)
    expect(ended.text).toMatch(message)
    expect(ended.text).not.toMatch(/\n\s+at /)
    expect(existsSync(out)).toBe(false)
  })
})
