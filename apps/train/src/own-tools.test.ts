/** Tools and task modules of the user's at the command line, in training: prompts name the tool, its calls run, its own grader gives the rewards, and a module that changed is refused. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadCheckpointCodec, loadEvaluation } from '@axpo/eval'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runAxpo } from './command-line.fixture.ts'
import { loadPlan } from './compare-plan.ts'
import { loadRunConfig } from './train.ts'

const toyServer = fileURLToPath(new URL('../../../packages/agent/src/mcp-server.fixture.ts', import.meta.url))
let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-own-tools-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const axpo = (...args: string[]) => runAxpo(directory, ...args)

const write = (name: string, text: string): string => {
  writeFileSync(join(directory, name), text)
  return name
}

const double = `import { defineTool } from '@axpo/agent'
const double = defineTool<{ n: number }>({
  name: 'double',
  description: 'Doubles a number.',
  parameters: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
  run: ({ n }) => String(2 * n),
})
`

/** A tool of its own and those of a server that the module starts. */
const writeTools = (name: string) =>
  write(
    name,
    `${double}import { connectMcpServer } from '@axpo/agent/mcp'
const server = { command: ${JSON.stringify(process.execPath)}, args: [${JSON.stringify(toyServer)}], tools: ['add'] }
export default [double, await connectMcpServer(server)]
`,
  )

const wanted = 1
/** The nearer the digit, the more. */
const nearness = (answer: string) => (/^[0-3]$/.test(answer.trim()) ? 1 - Math.abs(Number(answer) - wanted) / 4 : 0)

const writeTasks = (name: string, tool: string) =>
  write(
    name,
    `import type { OwnTask } from '@axpo/tasks'
const near = (answer: string) => (/^[0-3]$/.test(answer.trim()) ? 1 - Math.abs(Number(answer) - ${wanted}) / 4 : 0)
export default (split: string): OwnTask[] =>
  [0, 1].map((n) => ({ id: split + n, question: 'e' + n + ' a1?', tools: ['${tool}', 'add'], grade: near }))
`,
  )

const small = ['--questions', '2', '--steps', '1']
const train = ['train', '--device', 'cpu', '--threads', '1']

describe('tools and tasks of modules', { timeout: 240_000 }, () => {
  it('train: every prompt names the tools, their calls run, rewards are those of the own grader; a run goes on with the same module only', async () => {
    const tools = writeTools('tools.ts')
    const tasks = writeTasks('near.ts', 'double')
    const run = join(directory, 'run')
    const evaluated = ['--evaluate', '--eval-questions', '2', '--recipe', 'axpo-graded']
    const ended = await axpo(...train, '--tasks', tasks, '--tools', tools, ...small, ...evaluated, '--out', run)
    expect(ended.code, ended.text).toBe(0)
    const { settings, checkpoint } = loadRunConfig(run)
    expect(settings).toMatchObject({ tasks: join(directory, tasks), tools: join(directory, tools) })

    const codec = await loadCheckpointCodec(checkpoint)
    const rollouts = await loadEvaluation(join(run, 'trajectories.msgpack'))
    expect(rollouts.length).toBeGreaterThanOrEqual(16)
    for (const t of rollouts) {
      const prompt = t.segments[0]!
      expect(codec.decode(t.tokens.subarray(prompt.start, prompt.end))).toMatch(
        /^<\|im_start\|>system\ndouble\nadd\n<\|im_end\|>/,
      )
      expect(t.reward).toBe(t.answer === null ? 0 : nearness(t.answer))
    }
    expect(rollouts.some((t) => t.reward > 0 && t.reward < 1)).toBe(true)

    // the recipe's threshold: right from 0.5 on, in the table of the run and where it is asked for
    const before = await loadEvaluation(join(run, 'evaluations', 'before.msgpack'))
    const share = (least: number) => ((100 * before.filter((t) => t.reward >= least).length) / before.length).toFixed(1)
    expect(share(0.5)).not.toBe(share(1))
    const passAt1 = (text: string) => /^SFT +all +([\d.]+) \[/m.exec(text.replaceAll('before', 'SFT'))?.[1]
    expect(passAt1(ended.text)).toBe(share(0.5))
    const score = async (...more: string[]) =>
      passAt1((await axpo('eval', '--from-trajectories', join(run, 'evaluations', 'before.msgpack'), ...more)).text)
    expect(await score()).toBe(share(0.5))
    expect(await score('--reward-threshold', '1')).toBe(share(1))
    expect(ended.text).toContain('Right: a reward of at least 0.5.')
    expect(await score('--reward-threshold', '0.5')).toBe(share(0.5))

    for (const [call, answer] of [
      ['{"name": "double", "arguments": {"n": 21}}', 'ok: 42'],
      ['{"name": "add", "arguments": {"a": 2, "b": 3}}', 'ok: 5'],
    ] as const)
      expect((await axpo('tool', tools, call)).text).toContain(answer)

    const refused = async (message: RegExp, ...more: string[]) => {
      const again = await axpo('train', '--resume', run, ...more)
      expect(again.code).toBe(1)
      expect(again.text).toMatch(message)
    }
    await refused(/--resume takes the run's own settings, got --tools beside it/, '--tools', tools)
    for (const [name, message] of [
      [
        tools,
        /tools\.ts: the tools must be those the run began with \(SHA-256 [0-9a-f]{12}\), got others .*Put the file back/,
      ],
      [tasks, /near\.ts: the questions must be those the run began with .*Put the file back/],
    ] as const) {
      const before = readFileSync(join(directory, name), 'utf8')
      write(name, `${before}// other\n`)
      await refused(message)
      write(name, before)
    }
    const again = await axpo('train', '--resume', run)
    expect(again.code, again.text).toBe(0)
  })

  it('compare: the plan and every cell have the modules; a changed one is refused', async () => {
    const tools = writeTools('compared.ts')
    const tasks = writeTasks('compared-tasks.ts', 'double')
    const recipe = write('half.json', JSON.stringify({ base: 'grpo', rewardThreshold: 0.7 }))
    const sizes = `--recipes ${recipe} --seeds 1 --eval-every 1 --eval-questions 2 --validation-questions 2 --samples 4`
    const compare = [
      'compare',
      '--tasks',
      tasks,
      '--tools',
      tools,
      ...small,
      ...sizes.split(' '),
      '--replicates',
      '100',
    ]
    const ended = await axpo(...compare, '--out', 'compared')
    expect(ended.code, ended.text).toBe(0)
    const plan = loadPlan(join(directory, 'compared'))
    expect(plan).toMatchObject({ tools: join(directory, tools), toolsSha256: expect.stringMatching(/^[0-9a-f]{64}$/) })
    const cell = join(directory, 'compared', 'cells', 's-0.38', 'half', 'seed-101')
    expect(loadRunConfig(cell).settings).toMatchObject({ tools: plan.tools, toolsSha256: plan.toolsSha256 })
    const evaluated = JSON.parse(readFileSync(join(cell, 'evaluations', 'step-000001-test.json'), 'utf8')) as {
      readonly plan: object
      readonly rows: readonly (readonly [string, string, number, number])[]
    }
    expect(evaluated.plan).toMatchObject({ toolsSha256: plan.toolsSha256, rewardThreshold: 0.7 })
    expect(evaluated.rows.map(([id, family, samples]) => [id, family, samples])).toEqual([
      ['test0', 'compared-tasks', 4],
      ['test1', 'compared-tasks', 4],
    ])
    expect(readFileSync(join(directory, 'compared', 'compare.md'), 'utf8')).toContain('right from a reward of 0.7 on')
    // what was answered, not what was asked for
    expect(readFileSync(join(directory, 'compared', 'compare.md'), 'utf8')).toContain(
      '; 2 test questions at the end and ',
    )
    // results travel: no path of this machine
    const result = readFileSync(join(directory, 'compared', 'compare.json'), 'utf8')
    expect(result).toContain('"tools": "compared.ts"')
    expect(result).not.toContain(directory)
    write(tools, `${readFileSync(join(directory, tools), 'utf8')}// other\n`)
    const changed = await axpo(...compare, '--out', 'compared')
    expect(changed.code).toBe(1)
    expect(changed.text).toMatch(/toolsSha256.*Give another --out, or the settings/)
  })

  it('sft: demonstrated calls of an own tool are played; without the tool, or from a module, nothing begins', async () => {
    const tools = write('double.ts', `${double}export default double\n`)
    const call = { name: 'double', arguments: { n: 1 }, right: true, reading: '2' }
    const lines = ['train', 'test'].map((split) => ({
      question: `${split}?`,
      answer: '2',
      split,
      tools: ['double'],
      calls: [call],
    }))
    const tasks = write('calls.jsonl', lines.map((line) => JSON.stringify(line)).join('\n'))
    const sft = ['sft', '--device', 'cpu', '--threads', '1', '--phase1-steps', '1', '--phase2-steps', '1']
    const ended = await axpo(...sft, '--tasks', tasks, '--tools', tools, '--out', 'sft')
    expect(ended.code, ended.text).toBe(0)
    expect(JSON.parse(readFileSync(join(directory, 'sft', 'sft.json'), 'utf8'))).toMatchObject({
      tools: join(directory, tools),
    })
    const without = await axpo(...sft, '--tasks', tasks, '--out', 'sft-without')
    expect([without.code, without.text]).toEqual([1, expect.stringMatching(/task calls-1: .*no tool named double/)])
    const module = await axpo(...sft, '--tasks', writeTasks('taught.ts', 'double'), '--out', 'sft-module')
    expect([module.code, module.text]).toEqual([
      1,
      expect.stringMatching(/sft: --tasks must be a JSONL file.*taught\.ts/),
    ])
    for (const out of ['sft-without', 'sft-module']) expect(existsSync(join(directory, out))).toBe(false)
  })

  it('what cannot be played is refused before a run folder is made', async () => {
    const tools = writeTools('fine.ts')
    const cases = [
      [['--tools', tools], /--tools: needs questions that name the tools, got no --tasks/],
      [
        ['--tasks', writeTasks('typo.ts', 'dubble'), '--tools', tools],
        /task train0: .*no tool named dubble.*double, add/,
      ],
      [['--tasks', writeTasks('lone.ts', 'double')], /task train0: .*no tool named double/],
      [
        ['--tasks', writeTasks('other.ts', 'double'), '--tools', 'gone.ts'],
        /--tools: a module .* got nothing at .*gone\.ts/,
      ],
      [['--tasks', write('torn.ts', 'export default ['), '--tools', tools], /--tasks: .*torn\.ts must load, got/],
      [['--tasks', write('three.ts', 'export default 3')], /three\.ts: the default export must be a list of tasks/],
    ] as const
    for (const [flags, message] of cases) {
      const ended = await axpo(...train, ...flags, ...small, '--out', 'refused')
      expect(ended.text).toMatch(message)
      expect(ended.text).not.toMatch(/\n\s+at /)
      expect(ended.code).toBe(1)
      expect(existsSync(join(directory, 'refused'))).toBe(false)
    }
  })
})
