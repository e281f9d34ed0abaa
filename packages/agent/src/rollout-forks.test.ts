/**
 * Continuations from every place a recipe forks at: the prompt, a first and a later call, after an observation, before the answer. The real agent and the
 * real tools; only the sampler is scripted. Which places a recipe chooses: @axpo/policy.
 */
import { checkTrajectory, type Trajectory } from '@axpo/trajectory'
import { describe, expect, test } from 'vitest'
import {
  createSearchTool,
  createToolRegistry,
  createZoomTool,
  defaultLimits,
  type Limits,
  type RolloutSetting,
  rollout,
  type SampleRequest,
  type Sampler,
  type Task,
  type Tool,
  type ToolContext,
} from './index.ts'
import { answer, call, codec, encode, kinds, task, text, zoom } from './scripted.fixture.ts'

interface ToolRun {
  readonly name: string
  /** Sizes of the images that the tool was shown. */
  readonly images: readonly number[]
}

interface Stage {
  readonly setting: RolloutSetting
  readonly requests: SampleRequest[]
  readonly runs: ToolRun[]
}

const roomy: Limits = { ...defaultLimits, turnTokens: 4000, contextTokens: 4000 }

function watched(tool: Tool, runs: ToolRun[]): Tool {
  const run = (args: Readonly<Record<string, unknown>>, context: ToolContext, signal: AbortSignal) => {
    runs.push({ name: tool.spec.function.name, images: context.images.map((i) => i.width) })
    return tool.run(args, context, signal)
  }
  return { ...tool, run }
}

/** `say` gives the ids of the rest of a turn. What a continuation samples differs from its source's in log-probability, entropy and weight version. */
function stage(say: (request: SampleRequest) => ArrayLike<number>, limits = roomy, images = new Map()): Stage {
  const requests: SampleRequest[] = []
  const runs: ToolRun[] = []
  const sampler: Sampler = {
    async sample(request) {
      requests.push(request)
      const tokens = Int32Array.from(say(request)).slice(0, request.maxTokens)
      const again = request.key.sample >= 1000
      return {
        tokens,
        logprobs: new Float32Array(tokens.length).fill(again ? -0.25 : -0.5),
        entropies: new Float32Array(tokens.length).fill(again ? 0.125 : 0.75),
        finish: request.stopTokens.includes(tokens.at(-1)!) ? 'stop' : 'length',
        weightVersion: again ? 5 : 4,
      }
    },
  }
  const tools = createToolRegistry([watched(createZoomTool(), runs), watched(createSearchTool(), runs)])
  return { setting: { sampler, codec, tools, temperature: 1, limits, images }, requests, runs }
}

const inTurn = (turns: readonly string[]) => {
  const left = [...turns]
  return () => encode(left.shift()!)
}

const question: Task = { ...task, tools: ['image_zoom_in_tool', 'search'] }
const at = { task: question, seed: 1, step: 2, question: 3 }
const search = call('search', '{"query": "e1"}')
const wrong = 'so\n</think>\n\n1<|im_end|>'

/** What a model writes after the opening tag of a call. */
const afterTag = (turn: string): string => turn.slice(turn.indexOf('<tool_call>') + '<tool_call>'.length)

const images = new Map()
const playSource = (turns: readonly string[], limits = roomy) =>
  rollout(stage(inTurn(turns), limits, images).setting, { ...at, sample: 0 })
const source = await playSource([zoom, search, wrong])
const noTool = await playSource([wrong])

/** The n-th segment of a kind. */
const nth = (t: Trajectory, kind: string, n: number) => t.segments.filter((s) => s.kind === kind)[n]!

function continueFrom(parent: Trajectory, tokenCount: number, own: Stage): Promise<Trajectory> {
  return rollout(own.setting, { ...at, sample: 1000, prefix: { parent, tokenCount } })
}

const secondZoom = call('image_zoom_in_tool', '{"bbox_2d": [0, 0, 500, 500], "label": "", "img_idx": 1}')

interface Case {
  readonly where: string
  readonly from: Trajectory
  readonly fork: number
  readonly turns: readonly string[]
  readonly kinds: string
  readonly runs: readonly ToolRun[]
  readonly reward: number
}

const cases: readonly Case[] = [
  {
    where: 'the prompt',
    from: source,
    fork: nth(source, 'prompt', 0).end,
    turns: [search, answer],
    kinds: 'prompt think act observe think answer',
    runs: [{ name: 'search', images: [128] }],
    reward: 1,
  },
  {
    where: 'the first call',
    from: source,
    fork: nth(source, 'act', 0).start + 1,
    turns: [afterTag(search), zoom, answer],
    kinds: 'prompt think act observe think act observe think answer',
    runs: [
      { name: 'search', images: [128] },
      { name: 'image_zoom_in_tool', images: [128] },
    ],
    reward: 1,
  },
  {
    where: 'after the first observation',
    from: source,
    fork: nth(source, 'observe', 0).end,
    turns: [answer],
    kinds: 'prompt think act observe think answer',
    runs: [],
    reward: 1,
  },
  {
    where: 'the second call',
    from: source,
    fork: nth(source, 'act', 1).start + 1,
    turns: [afterTag(secondZoom), answer],
    kinds: 'prompt think act observe think act observe think answer',
    // it sees what the source's first call returned
    runs: [{ name: 'image_zoom_in_tool', images: [128, 32] }],
    reward: 1,
  },
  {
    where: 'the second call, wrong again',
    from: source,
    fork: nth(source, 'act', 1).start + 1,
    turns: [afterTag(search), wrong],
    kinds: 'prompt think act observe think act observe think answer',
    runs: [{ name: 'search', images: [128, 32] }],
    reward: 0,
  },
  {
    where: 'after the last observation',
    from: source,
    fork: nth(source, 'observe', 1).end,
    turns: [secondZoom, answer],
    kinds: 'prompt think act observe think act observe think act observe think answer',
    runs: [{ name: 'image_zoom_in_tool', images: [128, 32] }],
    reward: 1,
  },
  {
    where: 'the answer',
    from: source,
    fork: nth(source, 'answer', 0).start,
    turns: ['\n\n2<|im_end|>'],
    kinds: 'prompt think act observe think act observe think answer',
    runs: [],
    reward: 1,
  },
  {
    where: 'the answer of a rollout without tools',
    from: noTool,
    fork: nth(noTool, 'answer', 0).start,
    turns: ['\n\n2<|im_end|>'],
    kinds: 'prompt think answer',
    runs: [],
    reward: 1,
  },
  {
    where: 'the answer of a rollout without tools, calling one instead',
    from: noTool,
    fork: nth(noTool, 'answer', 0).start,
    turns: [`\n\n<tool_call>${afterTag(search)}`, answer],
    // what follows </think> up to the call was sampled by the continuation: a segment of its own
    kinds: 'prompt think think act observe think answer',
    runs: [{ name: 'search', images: [128] }],
    reward: 1,
  },
]

describe('a continuation', () => {
  test.each(cases)('from $where', async ({ from, fork, turns, kinds: expected, runs, reward }) => {
    const before = structuredClone(from)
    const own = stage(inTurn(turns), roomy, images)
    const t = await continueFrom(from, fork, own)
    checkTrajectory(t)
    expect(from).toEqual(before)
    expect([t.id, t.parent]).toEqual(['1-2-q-1000', { id: from.id, forkToken: fork }])

    // up to the fork everything is the source's
    for (const name of ['tokens', 'logprobs', 'entropies', 'trainable'] as const)
      expect([...t[name].slice(0, fork)], name).toEqual([...from[name].slice(0, fork)])
    const inherited = from.segments.filter((s) => s.end <= fork)
    expect(t.segments.slice(0, inherited.length)).toEqual(inherited)
    const inheritedImages = from.images.filter((i) => i.tokenStart < fork)
    expect(t.images.slice(0, inheritedImages.length)).toEqual(inheritedImages)

    // what the sampler was given first: exactly that prefix, with its images
    expect([...own.requests[0]!.tokens]).toEqual([...from.tokens.slice(0, fork)])
    expect(own.requests[0]!.images.map((i) => i.sha256)).toEqual(inheritedImages.map((i) => i.sha256))
    for (const { key } of own.requests) expect(key).toEqual({ seed: 1, step: 2, question: 3, sample: 1000 })

    // from the fork on: trainable is what this continuation sampled, all of it and nothing else
    const after = Array.from(t.tokens.slice(fork), (id, i) => ({ id, i: fork + i }))
    const sampled = after.filter(({ i }) => t.trainable[i] === 1)
    expect(sampled.map(({ id }) => id)).toEqual(encode(turns.join('')))
    for (const { i } of after)
      expect([t.logprobs[i], t.entropies[i]], `token ${i}`).toEqual(t.trainable[i] === 1 ? [-0.25, 0.125] : [0, 0])
    for (const s of t.segments.slice(inherited.length)) expect(s.weightVersion).toBe(s.kind === 'observe' ? -1 : 5)

    // its own calls, observations and reward
    expect(kinds(t)).toBe(expected)
    expect(own.runs).toEqual(runs)
    expect([t.reward, t.answer, t.finish]).toEqual([reward, reward === 1 ? '2' : '1', 'answer'])
  })

  test("a call's observation and image are those of the continuation's own call", async () => {
    const fork = nth(source, 'act', 1).start + 1
    const t = await continueFrom(source, fork, stage(inTurn([afterTag(secondZoom), answer]), roomy, images))
    const [first, second] = t.segments.filter((s) => s.kind === 'act')
    expect(first).toEqual(nth(source, 'act', 0))
    expect(second).toMatchObject({ start: fork - 1, call: { name: 'image_zoom_in_tool', status: 'ok' } })
    expect(t.images.map((i) => i.sha256)).toEqual([...source.images.map((i) => i.sha256), second!.call!.imageSha256])
    expect(text(t, second!.end)).not.toContain('e1 a1')
  })

  test('of a continuation forks like any other: its parent is the continuation', async () => {
    const first = await continueFrom(
      source,
      nth(source, 'act', 0).start + 1,
      stage(inTurn([afterTag(search), wrong]), roomy, images),
    )
    const fork = nth(first, 'answer', 0).start
    const own = stage(inTurn(['\n\n2<|im_end|>']), roomy, images)
    const prefix = { parent: first, tokenCount: fork }
    const t = await rollout(own.setting, { ...at, sample: 1001, prefix })
    checkTrajectory(t)
    expect(t.parent).toEqual({ id: first.id, forkToken: fork })
    expect(t.tokens.slice(0, fork)).toEqual(first.tokens.slice(0, fork))
    expect([own.runs, t.reward]).toEqual([[], 1])
  })

  test('that samples what its source sampled is its source, wherever it forks', async () => {
    const turnEnd = (from: number) => {
      let end = from
      while (end < source.tokens.length && source.trainable[end] === 1) end++
      return source.tokens.slice(from, end)
    }
    // all but who played it: name, parent, weights, log-probabilities
    const played = ({ tokens, trainable, segments, images: spans, answer: said, reward, finish }: Trajectory) => ({
      ...{ tokens: tokens.join(), trainable: trainable.join(), spans, said, reward, finish },
      segments: segments.map((s) => ({ ...s, weightVersion: 0 })),
    })
    const forks = [...source.tokens.keys()].filter((i) => source.trainable[i] === 1)
    expect(forks.length).toBeGreaterThan(100)
    const own = stage((request) => turnEnd(request.tokens.length), roomy, images)
    for (const fork of forks) {
      own.runs.length = 0
      const t = await continueFrom(source, fork, own)
      expect(played(t), `fork at ${fork}`).toEqual(played(source))
      expect(own.runs.length).toBe(source.segments.filter((s) => s.kind === 'act' && s.end > fork).length)
    }
  })
})

describe('limits count what was inherited', () => {
  const tight: Limits = { ...roomy, turns: 2 }

  // two tool turns and the turn after them: three calls in all, whoever made them
  test.each([
    ['the prompt', nth(source, 'prompt', 0).end, [search, search, search], 3],
    ['the first call', nth(source, 'act', 0).start + 1, [afterTag(search), search, search], 3],
    ['after the first observation', nth(source, 'observe', 0).end, [search, search], 2],
    ['the second call', nth(source, 'act', 1).start + 1, [afterTag(search), search], 2],
    ['after the last observation', nth(source, 'observe', 1).end, [search], 1],
    ['the answer', nth(source, 'answer', 0).start, [`\n\n<tool_call>${afterTag(search)}`], 1],
  ] as const)('tool turns, from %s', async (_, fork, turns, own) => {
    const played = stage(inTurn(turns), tight, images)
    const t = await continueFrom(source, fork, played)
    checkTrajectory(t)
    expect([t.finish, played.runs.length, played.requests.length]).toEqual(['turns', own, own])
    expect(t.segments.filter((s) => s.kind === 'act').length).toBe(3)
  })

  test.each(cases)('tokens of the context, from $where', async ({ from, fork }) => {
    const contextTokens = fork + 7
    const endless = () => new Int32Array(4000).fill(encode('x')[0]!)
    const own = stage(endless, { ...roomy, contextTokens }, images)
    const t = await continueFrom(from, fork, own)
    checkTrajectory(t)
    expect(own.requests.map((r) => r.maxTokens)).toEqual([7])
    expect([t.tokens.length, t.finish, t.reward, t.answer]).toEqual([contextTokens, 'length', 0, null])
    expect(t.segments.at(-1)).toMatchObject({ kind: 'failure', end: contextTokens, weightVersion: 5 })
  })

  test.each(cases)('no room at all, from $where: nothing is sampled, the record is whole', async ({ from, fork }) => {
    const own = stage(inTurn([]), { ...roomy, contextTokens: fork }, images)
    const t = await continueFrom(from, fork, own)
    checkTrajectory(t)
    expect([t.tokens.length, t.finish, t.reward, own.requests.length]).toEqual([fork, 'length', 0, 0])
  })

  test('the turn that is continued has a budget of its own: tokens of a turn and bad calls in a row count from the fork', async () => {
    const bad = call('fly', '{}')
    const limits: Limits = { ...roomy, turns: 9, turnTokens: 60, invalidCalls: 2 }
    const failed = await playSource([bad, bad], limits)
    expect([failed.finish, kinds(failed)]).toEqual(['invalid-calls', 'prompt think act observe think act observe'])
    const own = stage(inTurn([afterTag(bad), answer]), limits, images)
    const t = await continueFrom(failed, nth(failed, 'act', 1).start + 1, own)
    checkTrajectory(t)
    expect(own.requests[0]!.maxTokens).toBe(60)
    expect([t.finish, t.reward]).toEqual(['answer', 1])
  })
})
