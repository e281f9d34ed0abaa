/** The held-out family, end to end: the shipped tools, the nano tokenizer and template, the suite's questions; only the sampler is scripted. */
import { defaultLimits, type RolloutSetting, rollout, type SampleRequest } from '@axpo/agent'
import { loadChatCodec, nanoDirectory } from '@axpo/model'
import { type DemonstratedCall, loadQuestion, nanoTokenizerDirectory, type Question, rightCalls } from '@axpo/tasks'
import { checkTrajectory, usesTool } from '@axpo/trajectory'
import { expect, test } from 'vitest'
import { evaluate } from './evaluate.ts'
import { familyList } from './options.ts'
import { openPython, suiteRegistry } from './session.ts'
import { suiteTask } from './suite-task.ts'

const codec = await loadChatCodec(nanoTokenizerDirectory, nanoDirectory)
// no question here calls it: its interpreter never starts
const tools = suiteRegistry(openPython())

/** As Qwen writes it, and as nano's tokens have it: a space after each colon. */
const spaced = (value: unknown): string => JSON.stringify(value).replaceAll('":', '": ')
const callText = (call: Pick<DemonstratedCall, 'name' | 'arguments'>): string =>
  `go\n</think>\n\n<tool_call>\n{"name": ${spaced(call.name)}, "arguments": ${spaced(call.arguments)}}\n</tool_call>`
const answerText = (answer: string): string => `ok\n</think>\n\n${answer}<|im_end|>`

/** Text of the last observation. */
const observed = (request: SampleRequest): string =>
  /<tool_response>\n([^<]*)\n<\/tool_response>/.exec(codec.decode(request.tokens).split('<|im_end|>').at(-2)!)?.[1] ??
  ''

/** `turn` says what the model writes: on the first turn it has observed nothing. */
function scripted(turn: (observation: string | null, request: SampleRequest) => string): RolloutSetting {
  const sample = async (request: SampleRequest) => {
    const first = !codec.decode(request.tokens).includes('<tool_response>')
    const tokens = Int32Array.from(codec.encode(turn(first ? null : observed(request), request))).slice(
      0,
      request.maxTokens,
    )
    const finish = request.stopTokens.includes(tokens.at(-1)!) ? ('stop' as const) : ('length' as const)
    const zeros = new Float32Array(tokens.length)
    return { tokens, logprobs: zeros, entropies: zeros, finish, weightVersion: 1 }
  }
  return { sampler: { sample }, codec, tools, temperature: 1, limits: defaultLimits, images: new Map() }
}

const play = (question: Question, setting: RolloutSetting) =>
  rollout(setting, { task: suiteTask(question), seed: 1, step: 0, question: 0, sample: 0 })

const entityOf = (observation: string): string | undefined => /^\[1\] (e\d+)$/.exec(observation)?.[1]
const attributeOf = (request: SampleRequest): string => /(a\d) of this icon/.exec(codec.decode(request.tokens))![1]!

/** What a policy would do that knows nothing but what it sees: look the icon up, search for what was found, answer what the document says. */
function twoHops(observation: string | null, request: SampleRequest): string {
  if (observation === null) return callText({ name: 'image_search', arguments: { img_idx: 0 } })
  const entity = entityOf(observation)
  if (entity) return callText({ name: 'search', arguments: { query: `${entity} ${attributeOf(request)}` } })
  return answerText(observation.at(-1)!)
}

test('the picture is looked up, the fact is searched, the answer is right: on each of 12 hard questions', async () => {
  for (let index = 0; index < 12; index++) {
    const question = loadQuestion('image_search', 'test', index, 0)
    const trajectory = await play(question, scripted(twoHops))
    checkTrajectory(trajectory)
    const calls = trajectory.segments.flatMap((s) => (s.call ? [s.call] : []))
    expect(calls.map(({ name, status, argumentsJson }) => [name, status, JSON.parse(argumentsJson)])).toEqual(
      rightCalls(question).map((call) => [call.name, 'ok', call.arguments]),
    )
    expect([trajectory.finish, trajectory.answer, trajectory.reward]).toEqual(['answer', question.gold, 1])
    expect(trajectory.segments.map((s) => s.kind)).toEqual([
      'prompt',
      'think',
      'act',
      'observe',
      'think',
      'act',
      'observe',
      'think',
      'answer',
    ])
  }
})

test('the prompt offers image_search here and in no trained family; there a call of it is an error the model sees', async () => {
  const held = await play(loadQuestion('image_search', 'test', 0, 0), scripted(twoHops))
  const trained = await play(
    loadQuestion('search', 'test', 0, 0),
    scripted((seen) =>
      seen === null ? callText({ name: 'image_search', arguments: { img_idx: 0 } }) : answerText('0'),
    ),
  )
  const prompt = (t: typeof held) => codec.decode(t.tokens.slice(0, t.segments[0]!.end))
  expect(prompt(held)).toContain('image_search')
  expect(prompt(trained)).not.toContain('image_search')
  const call = trained.segments.find((s) => s.call)!.call!
  expect(call.status).toBe('unknown-tool')
  expect(call.observation).toBe('Error: unknown tool "image_search". Available: image_zoom_in_tool, python, search')
})

test('an evaluation of the family named on the command line', async () => {
  const plan = {
    split: 'test',
    questions: 4,
    samples: 2,
    easyShare: 0,
    seed: 3,
    families: familyList('image_search'),
  } as const
  const trajectories = await evaluate(scripted(twoHops), plan)
  expect(trajectories).toHaveLength(8)
  expect(trajectories.every((t) => t.family === 'image_search' && usesTool(t) && t.reward === 1)).toBe(true)
})
