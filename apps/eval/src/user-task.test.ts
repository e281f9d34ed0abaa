/** A user's questions and tools, end to end but for the model: the nano tokenizer and template, the shipped tools; the sampler is scripted. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultLimits, defineTool, type RolloutSetting, type SampleRequest, type Tool } from '@axpo/agent'
import { loadChatCodec, nanoDirectory } from '@axpo/model'
import { elementsTasks, loadUserTasks, nanoTokenizerDirectory } from '@axpo/tasks'
import { checkTrajectory, usesTool } from '@axpo/trajectory'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countByQuestion, defaultEvaluation, evaluate } from './evaluate.ts'
import { openPython, suiteRegistry } from './session.ts'
import { openUserFiles, userFilesOf } from './user-files.ts'
import { createTaskRow, loadSplit, loadTaught, openTasksFile, openTaughtFile, userTask } from './user-task.ts'
import { loadUserTools, openToolsFile, openUserTools } from './user-task-tools.ts'

const codec = await loadChatCodec(nanoTokenizerDirectory, nanoDirectory)
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'user-task-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** `turn`: what the model writes to this context; `own`: more tools. */
function scripted(turn: (context: string) => string, own: readonly Tool[] = []): RolloutSetting {
  const sample = async (request: SampleRequest) => {
    const tokens = Int32Array.from(codec.encode(turn(codec.decode(request.tokens)))).slice(0, request.maxTokens)
    const finish = request.stopTokens.includes(tokens.at(-1)!) ? ('stop' as const) : ('length' as const)
    const zeros = new Float32Array(tokens.length)
    return { tokens, logprobs: zeros, entropies: zeros, finish, weightVersion: 1 }
  }
  // no question here calls python: its interpreter never starts
  const tools = suiteRegistry(openPython(), [
    defineTool({ name: 'never', description: '', parameters: {}, run: () => '' }),
    ...own,
  ])
  return { sampler: { sample }, codec, tools, temperature: 1, limits: defaultLimits, images: new Map() }
}

const search = (query: string) =>
  `so \n</think>\n\n<tool_call>\n{"name": "search", "arguments": {"query": "${query}"}}\n</tool_call>`

test('elements: who searches for what is asked and reads the answer is always right', async () => {
  const setting = scripted((context) => {
    const asked = /user\n(\w+ \w+) %4\?/.exec(context)![1]!
    const found = new RegExp(`\\[1\\] ${asked} — \\d+ %4 = (\\d)`).exec(context)?.[1]
    return found ? `ok \n</think>\n\n${found}<|im_end|>` : search(asked)
  })
  const trajectories = await evaluate(setting, { ...defaultEvaluation, tasks: elementsTasks, samples: 1 })
  expect(trajectories.length).toBe(88)
  for (const t of trajectories) {
    checkTrajectory(t)
    expect([t.questionId, t.reward, usesTool(t)]).toEqual([t.questionId, 1, true])
    expect(t.family).toBe('elements')
    // what is sampled in a tool turn, with its thinking: within the 48 tokens of a turn, with room to spare
    for (const s of t.segments.filter((s) => s.kind === 'act')) expect(s.end - s.start).toBeLessThanOrEqual(20)
    expect(t.tokens.length).toBeLessThanOrEqual(140)
  }
  expect(countByQuestion(trajectories).length).toBe(88)
})

test('elements: every call of the file, right or wrong, reads as the file says; guesses are right a quarter of the time', async () => {
  const tasks = loadUserTasks(elementsTasks)
  const { tools } = scripted(() => '')
  const few = tasks.filter((_, i) => i % 9 === 0)
  for (const { calls, documents } of few)
    for (const { name, arguments: args, reading } of calls) {
      const call = { ok: true as const, name, arguments: { ...args }, argumentsJson: '' }
      const { text } = await tools.call(call, ['search'], { images: [], documents })
      expect(text).toBe(`[1] ${args.query} — ${text.split(' — ')[1]}`)
      expect(text.at(-1)).toBe(reading)
    }
  const rewards = tasks.map((t) => userTask(t).grade('2'))
  expect(rewards.reduce((n, r) => n + r, 0) / tasks.length).toBeCloseTo(0.25, 6)
})

test('tasks that cannot be played are told before anything is sampled', async () => {
  const path = join(folder, 'quiz.jsonl')
  const setting = scripted(() => 'ok \n</think>\n\n1<|im_end|>')
  const play = (line: object) => {
    writeFileSync(path, `${JSON.stringify({ question: 'q', answer: '1', split: 'test', ...line })}\n`)
    return evaluate(setting, { ...defaultEvaluation, tasks: path, samples: 1 })
  }
  expect((await play({ tools: ['never', 'search'] })).map((t) => t.reward)).toEqual([1])
  await expect(play({ tools: ['fly'] })).rejects.toThrow(
    /task quiz-1: .*no tool named fly. Known: image_zoom_in_tool, /,
  )
  await expect(play({ question: 'xyz '.repeat(200) })).rejects.toThrow(
    /task quiz-1: a prompt must leave 48 of 512 tokens for a turn, got a prompt of \d+\. Shorten/,
  )
  await expect(loadSplit({ tasks: path }, 'train')).rejects.toThrow(
    /the split train must have a question, got 1 questions, all in other splits/,
  )
})

test('a file is told by its content: an image, a document or an answer that changed since is refused, spaces and the place are not', async () => {
  const write = (name: string, line: object, space = '') => {
    const path = join(folder, name)
    const document = [{ title: 'a', text: 'b' }]
    const fields = { question: 'q', answer: '1', split: 'train', tools: ['search'], documents: document, ...line }
    writeFileSync(path, `${JSON.stringify(fields)}${space}\n`)
    return path
  }
  // one pixel each
  const [black, red] = [
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC',
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  ].map((base64) => `data:image/png;base64,${base64}`)
  const path = write('told.jsonl', { image: black })
  const file = await openTasksFile(path, ['train'])
  expect(file.tasks).toBe(path)
  expect(await openTasksFile(write('told.jsonl', { image: black }, '  '), ['train'])).toEqual(file)
  expect(await loadSplit(file, 'train')).toHaveLength(1)
  for (const line of [{ image: red }, { image: black, documents: [] }, { image: black, answer: '2' }]) {
    write('told.jsonl', line)
    for (const load of [() => loadSplit(file, 'train'), () => loadTaught(file)])
      await expect(load()).rejects.toThrow(
        /told\.jsonl: the questions must be those the run began with \(SHA-256 [0-9a-f]{12}\), got others \([0-9a-f]{12}\)\. Put the file back/,
      )
    expect(await loadSplit({ tasks: path }, 'train')).toHaveLength(1)
  }
})

const tripling = (times: number) => `export default {
  spec: { type: 'function', function: { name: 'triple', description: '', parameters: { type: 'object' } } },
  run: async ({ n }) => ({ status: 'ok', text: String(n * ${times}), image: null }),
}`
const graded = `export default (split) => [1, 2].map((n) => ({
  id: split + n, question: 'triple ' + n + '?', tools: ['triple'],
  grade: (answer) => Math.max(0, 1 - Math.abs(Number(answer) - 3 * n) / 4),
}))`

test('a module of tasks and one of tools: the call runs, the reward is what the own grader says, right is from the threshold on', async () => {
  const [tools, tasks] = [join(folder, 'triple.mjs'), join(folder, 'graded.mjs')]
  writeFileSync(tools, tripling(3))
  writeFileSync(tasks, graded)
  const settings = { ...openToolsFile(tools, tasks), ...(await openTasksFile(tasks, ['train', 'test'])) }
  const own = await openUserTools(settings)
  // reads the tool's answer, and is one off where it is 6
  const turn = (context: string) => {
    const read = /<tool_response>\n(\d+)/.exec(context)?.[1]
    const asked = /triple (\d)\?/.exec(context)![1]!
    const call = `{"name": "triple", "arguments": {"n": ${asked}}}`
    if (read === undefined) return `so \n</think>\n\n<tool_call>\n${call}\n</tool_call>`
    return `ok \n</think>\n\n${read === '6' ? '7' : read}<|im_end|>`
  }
  const played = await evaluate(scripted(turn, own.tools), { ...defaultEvaluation, ...settings, samples: 1 })
  await own.dispose()
  expect(played.map((t) => [t.questionId, t.family, t.answer, t.reward])).toEqual([
    ['test1', 'graded', '3', 1],
    ['test2', 'graded', '7', 0.75],
  ])
  for (const t of played) expect(t.segments.find((s) => s.call)?.call).toMatchObject({ name: 'triple', status: 'ok' })
  const right = (threshold?: number) => countByQuestion(played, threshold).map((c) => [c.correct, c.toolUsingCorrect])
  expect(right()).toEqual([
    [1, 1],
    [0, 0],
  ])
  expect(right(0.75)).toEqual([
    [1, 1],
    [1, 1],
  ])
  expect(right(0.76)).toEqual(right())
})

test('modules are told by their text: one that changed since is refused; settings without them stay without', async () => {
  const [tools, tasks] = [join(folder, 'told-tools.mjs'), join(folder, 'told-tasks.mjs')]
  writeFileSync(tools, tripling(3))
  writeFileSync(tasks, graded)
  const settings = { ...openToolsFile(tools, tasks), ...(await openTasksFile(tasks, ['train'])) }
  expect(await openUserFiles({ tasks, tools }, ['train'])).toEqual(settings)
  expect(userFilesOf({ ...defaultEvaluation, ...settings })).toEqual(settings)
  expect(await openTasksFile(tasks, ['test'])).toEqual({ tasks, tasksSha256: settings.tasksSha256 })
  writeFileSync(tools, tripling(4))
  // the questions stay the same, the grader does not
  writeFileSync(tasks, graded.replace('/ 4', '/ 5'))
  await expect(openUserTools(settings)).rejects.toThrow(
    /told-tools\.mjs: the tools must be those the run began with \(SHA-256 [0-9a-f]{12}\), got others \([0-9a-f]{12}\)\. Put the file back/,
  )
  await expect(loadSplit(settings, 'train')).rejects.toThrow(/told-tasks\.mjs: the questions must be those/)
  await expect(openTaughtFile(tasks)).rejects.toThrow(/sft: --tasks must be a JSONL file, .*told-tasks\.mjs/)
  expect(() => openToolsFile(tools, undefined)).toThrow(/--tools: needs questions that name the tools/)
  expect([await openUserFiles({}, []), userFilesOf({})]).toEqual([{}, {}])
  await expect(openUserTools({ tools })).rejects.toThrow(/\(SHA-256 not told\)/)
  expect((await openUserTools({})).tools).toEqual([])
})

test('a row of tasks: each once an epoch, epochs in other orders, the same for the same seed', async () => {
  const tasks = await loadSplit({ tasks: elementsTasks }, 'validation')
  const n = tasks.length
  const ids = (seed: number, from: number) => {
    const row = createTaskRow(tasks, seed)
    return Array.from({ length: n }, (_, i) => row(from + i).questionId)
  }
  const all = tasks.map((t) => t.id).sort()
  expect(ids(1, 0).toSorted()).toEqual(all)
  expect(ids(1, 5 * n).toSorted()).toEqual(all)
  expect(ids(1, 5 * n)).toEqual(ids(1, 5 * n))
  expect(ids(1, 5 * n)).not.toEqual(ids(1, 0))
  expect(ids(2, 0)).not.toEqual(ids(1, 0))
})

test('a module of tools: what it may export, and what it may not', async () => {
  const tool =
    "{ spec: { type: 'function', function: { name: 'NAME', description: '', parameters: {} } }, run: async () => ({}) }"
  const named = (name: string) => tool.replace('NAME', name)
  const load = async (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    const { tools, dispose } = await loadUserTools(path)
    await dispose()
    return tools.map((t) => t.spec.function.name)
  }
  expect(await load('one.mjs', `export default ${named('a')}`)).toEqual(['a'])
  const server = `{ tools: [${named('b')}], dispose: async () => {} }`
  expect(await load('many.mjs', `export default [${named('a')}, ${server}]`)).toEqual(['a', 'b'])
  await expect(load('none.mjs', 'export const tool = 1')).rejects.toThrow(
    /the default export of .*none\.mjs must be a tool/,
  )
  await expect(load('wrong.mjs', 'export default [3]')).rejects.toThrow(/must be a tool of defineTool/)
  await expect(loadUserTools(join(folder, 'gone.ts'))).rejects.toThrow(/--tools: a module .* got nothing at/)
})
