/**
 * Every recipe that resamples, from its plan to its weights, over rollouts that the real agent plays: the suite's questions and tools, nano's tokens; only the sampler is
 * scripted. Each fork lies where the recipe says, the agent goes on from there, and what is trained is what each sequence sampled. The agent alone: its own tests.
 */
import { loadAdvantage } from '@axpo/advantage'
import { defaultLimits, type RolloutSetting, rolloutMany, type SampleRequest } from '@axpo/agent'
import { openPython, suiteRegistry, suiteTask } from '@axpo/eval'
import { loadChatCodec, nanoDirectory } from '@axpo/model'
import {
  findRecipe,
  planLoss,
  planSampling,
  type Recipe,
  type RecipeName,
  recipes,
  type SampledStep,
  type SequenceWeights,
  settingsOf,
  settleSampling,
} from '@axpo/policy'
import { loadQuestion, nanoTokenizerDirectory, type Question } from '@axpo/tasks'
import { checkTrajectory, type Trajectory } from '@axpo/trajectory'
import { describe, expect, it } from 'vitest'

const codec = await loadChatCodec(nanoTokenizerDirectory, nanoDirectory)
const advantage = await loadAdvantage()
// no turn here calls it: its interpreter never starts
const tools = suiteRegistry(openPython())

const questions: readonly Question[] = Array.from({ length: 4 }, (_, i) =>
  loadQuestion(i % 2 === 0 ? 'zoom' : 'search', 'train', i, 0),
)
const tasks = questions.map(suiteTask)

const start = '<|im_start|>assistant\n<think>\n'
const thought = 'go\n</think>\n\n'
const calls = [
  '<tool_call>\n{"name": "search", "arguments": {"query": "e1 a1"}}\n</tool_call>',
  '<tool_call>\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [0, 0, 250, 250], "label": "", "img_idx": 0}}\n</tool_call>',
]

/**
 * The turn that a sample plays next. Rollouts 0 to 5 call twice and are wrong, 6 and 7 answer at once, wrong too; every other continuation is right. What a continuation's
 * prefix holds of the turn is taken from its front.
 */
function turnOf({ tokens, key }: SampleRequest): string {
  const context = codec.decode(tokens)
  const begun = context.slice(context.lastIndexOf(start) + start.length)
  const made = context.split('</tool_call><|im_end|>').length - 1
  const { gold } = questions[key.question % questions.length]!
  const answer = key.sample >= 1000 && key.sample % 2 === 1 ? gold : `${(Number(gold) + 1) % 4}`
  const direct = key.sample === 6 || key.sample === 7 || made === 2
  const whole = direct && !begun.includes('<tool_call>') ? `${answer}<|im_end|>` : calls[(key.sample + made) % 2]!
  const turn = thought + (begun === thought.trimEnd() ? `${answer}<|im_end|>` : whole)
  if (!turn.startsWith(begun)) throw new Error(`the script has no turn that begins with ${JSON.stringify(begun)}`)
  return turn.slice(begun.length)
}

/** Nats a token: later turns are the less certain ones, and one rollout that calls nothing is the least certain of all. */
function doubtOf({ tokens, key }: SampleRequest): number {
  if (key.question === 1 && key.sample === 6) return 2
  return codec.decode(tokens).includes('<tool_response>') ? 1.5 : 0.25
}

const setting: RolloutSetting = {
  sampler: {
    async sample(request) {
      const ids = Int32Array.from(codec.encode(turnOf(request)))
      const doubt = doubtOf(request)
      return {
        tokens: ids,
        logprobs: new Float32Array(ids.length).fill(-doubt),
        entropies: new Float32Array(ids.length).fill(doubt),
        finish: 'stop',
        weightVersion: 1,
      }
    },
  },
  codec,
  tools,
  temperature: 1,
  limits: { ...defaultLimits, turnTokens: 200, contextTokens: 2000 },
  images: new Map(),
}

/** A recipe with a budget for two prefixes, whatever its own. */
function recipeOf(name: RecipeName): Required<Recipe> {
  const recipe = settingsOf(findRecipe(name))
  return { ...recipe, budget: (2 * recipe.continuations + 0.5) / (recipe.rollouts * questions.length) }
}

async function playStep(recipe: Recipe): Promise<SampledStep<Trajectory>> {
  const key = { seed: 1, step: 0, questions: questions.length }
  const sampled: Trajectory[] = []
  for (let jobs = planSampling(recipe, key, sampled); jobs.length > 0; jobs = planSampling(recipe, key, sampled)) {
    const run = jobs.map(({ prefix, question, sample }) => {
      const from = prefix ? { prefix } : {}
      return { task: tasks[question % tasks.length]!, seed: 1, step: 0, question, sample, ...from }
    })
    sampled.push(...(await rolloutMany(setting, run)))
  }
  return settleSampling(recipe, key, sampled)
}

/** Where a fork lies in its source, in words. */
function placeOf(source: Trajectory, tokens: number): string {
  const calls = source.segments.filter((s) => s.kind === 'act')
  const call = calls.findIndex((s) => s.start + 1 === tokens)
  if (call >= 0) return `call ${call}`
  return `after ${source.segments.find((s) => s.end === tokens)?.kind}, before ${source.segments.find((s) => s.start === tokens)?.kind}`
}

const trained = ({ weights }: SequenceWeights) => [...weights.keys()].filter((i) => weights[i] !== 0)
const sampledIn = (t: Trajectory, from: number, to = t.tokens.length) =>
  [...t.trainable.keys()].filter((i) => i >= from && i < to && t.trainable[i] === 1)

const resampling = (Object.keys(recipes) as RecipeName[]).filter((name) => recipes[name].budget > 0)

/** Where each `forkAt` may fork. */
const places = {
  call: ['call 0'],
  'any-call': ['call 0', 'call 1'],
  'call-or-answer': ['call 0', 'after think, before answer'],
  prompt: ['after prompt, before think'],
  observation: ['after observe, before think'],
}

const placesOf = ({ rollouts, plan }: SampledStep<Trajectory>) =>
  plan.map((p) => placeOf(rollouts[p.source]!, p.prefixTokens))

it('the script leads to forks at a later call and before an answer', async () => {
  expect(placesOf(await playStep(recipeOf('axpo-any-call')))).toContain('call 1')
  expect(placesOf(await playStep(recipeOf('axpo-no-tool-too')))).toContain('after think, before answer')
})

describe.each(resampling)('%s, played by the agent', (name) => {
  const recipe = recipeOf(name)

  it('forks where it says, and trains what each sequence sampled', async () => {
    const step = await playStep(recipe)
    const { rollouts, plan, continuations } = step
    for (const t of [...rollouts, ...continuations]) checkTrajectory(t)
    expect(continuations.length).toBeGreaterThan(0)
    for (const place of placesOf(step)) expect(places[recipe.forkAt]).toContain(place)

    const sources = plan.flatMap((p) => Array.from({ length: p.continuations }, () => rollouts[p.source]!))
    const weights = planLoss({ rollouts, plan, continuations, recipe, advantage })
    const branches = recipe.forkAt === 'observation'
    for (const [k, c] of continuations.entries()) {
      const fork = c.parent!.forkToken
      expect(c.tokens.slice(0, fork)).toEqual(sources[k]!.tokens.slice(0, fork))
      // its own answer was graded; the sampler was right for odd samples only
      expect(c.reward).toBe(c.sample % 2)
      expect(trained(weights.continuations[k]!)).toEqual(sampledIn(c, branches ? 0 : fork))
    }
    const cuts = new Map(plan.map((p) => [p.source, p.prefixTokens]))
    for (const [i, r] of rollouts.entries()) {
      const split = cuts.has(i) && recipe.forkAt !== 'prompt' && !branches
      expect(trained(weights.rollouts[i]!)).toEqual(sampledIn(r, 0, split ? cuts.get(i) : r.tokens.length))
    }
  })
})
