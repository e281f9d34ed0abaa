/**
 * Supervised fine-tuning of the nano model on generated demonstrations, from scratch. Phase 1 teaches format, reading and localisation; phase 2 sets how often a tool is
 * tried and how often its arguments are right (@axpo/tasks, demonstrate.ts). Everything is keyed by (seed, step): resuming gives the same bytes.
 *
 * Curriculum: a share of zoom items has fewer filled cells than the suite's six, so that "where is a marker" is learnt before "which marker".
 */
import { createSearchTool, createToolRegistry, createZoomTool, imageRef, type Tool } from '@axpo/agent'
import type { Session, UserFiles } from '@axpo/eval'
import {
  createQuestion,
  createRandom,
  defaultDifficulty,
  demonstrate,
  demonstrateCall,
  demonstrateUserTask,
  demonstrationAt,
  type Family,
  families,
  loadQuestion,
  type Question,
  type SftMixture,
  sftPhases,
  splitOf,
  type UserTask,
} from '@axpo/tasks'
import {
  callTokens,
  type DemonstrationTokens,
  demonstrationTokens,
  formatCall,
  promptTokens,
  type TokenContext,
} from './demonstration-tokens.ts'

export interface SftPhase {
  readonly mixture: SftMixture
  readonly steps: number
  /** Peak learning rate of AdamW. */
  readonly learningRate: number
  /** Steps at the end over which the rate falls to 5 %, linearly. */
  readonly decaySteps: number
  /** Families in turn; naming one twice doubles its share. */
  readonly families: readonly Family[]
  /** Share of zoom items with 1 to 5 filled cells instead of 6. */
  readonly fewerCellsShare: number
  /** Whether the other cells of a zoom item's picture are asked for too, up to the call: one picture, six labels of where things are. */
  readonly siblings: boolean
}

/** With files of a user's (JSONL), the calls of the train split and what is to be known by heart are learnt, instead of the suite. */
export interface SftSettings extends UserFiles {
  readonly seed: number
  /** Demonstrations a step. */
  readonly batch: number
  readonly warmUpSteps: number
  /** s: share of items that need no tool. */
  readonly easyShare: number
  readonly phases: readonly [SftPhase, SftPhase]
}

export const defaultSftSettings: SftSettings = {
  seed: 1,
  batch: 48,
  warmUpSteps: 50,
  easyShare: 0.5,
  phases: [
    {
      mixture: sftPhases[1],
      steps: 1000,
      learningRate: 1e-3,
      decaySteps: 200,
      families: ['zoom', 'zoom', 'python', 'search'],
      fewerCellsShare: 0.5,
      siblings: true,
    },
    {
      mixture: sftPhases[2],
      steps: 300,
      learningRate: 5e-4,
      decaySteps: 300,
      families,
      fewerCellsShare: 0,
      siblings: false,
    },
  ],
}

/** AdamW and micro-batch sizes of SFT. */
export const sftOptimiser = {
  optimiser: { beta2: 0.98 },
  capacities: { train: { tokens: 4096, imageTokens: 2048, selections: 4096 } },
} as const

export interface SftStep {
  /** From 1, over both phases. */
  readonly step: number
  readonly phase: 1 | 2
  readonly learningRate: number
  /** Mean over learnt tokens, nats. */
  readonly loss: number
  readonly gradientNorm: number
}

export function sftStepCount(settings: SftSettings): number {
  return settings.phases[0].steps + settings.phases[1].steps
}

/** Phase of a step (from 0) and the step within it. */
export function sftPhaseAt(settings: SftSettings, step: number): { readonly phase: 1 | 2; readonly within: number } {
  const first = settings.phases[0].steps
  return step < first ? { phase: 1, within: step } : { phase: 2, within: step - first }
}

export function sftLearningRate(settings: SftSettings, step: number): number {
  const { phase, within } = sftPhaseAt(settings, step)
  const { steps, learningRate, decaySteps } = settings.phases[phase - 1]!
  const left = (steps - within) / Math.max(1, decaySteps)
  return learningRate * Math.min(1, (step + 1) / settings.warmUpSteps) * (0.05 + 0.95 * Math.min(1, left))
}

/**
 * Plays demonstrated calls with the real tools, `own` included. Python's reading is known beforehand; a test holds it against the real interpreter. Throws for a call that does not work: it
 * would teach an error.
 */
function callAnswerer(own: readonly Tool[]): TokenContext['answerCall'] {
  const registry = createToolRegistry([createZoomTool(), createSearchTool(), ...own])
  return async ({ images, documents, tools }, call) => {
    if (call.name === 'python' && tools.includes('python')) return { text: `=> ${call.reading}`, image: null }
    const parsed = { ok: true as const, name: call.name, arguments: { ...call.arguments }, argumentsJson: '' }
    const { status, text, image } = await registry.call(parsed, tools, { images, documents })
    if (status !== 'ok') throw new Error(`sft: the demonstrated ${call.name} call must work, got ${text}.`)
    return { text, image }
  }
}

/** `own`: the user's tools. */
export function sftContext(session: Session, own: readonly Tool[] = []): TokenContext {
  return { codec: session.codec, imageRef, answerCall: callAnswerer(own) }
}

function sftQuestion(settings: SftSettings, phase: SftPhase, index: number): Question {
  const family = phase.families[index % phase.families.length]!
  const random = createRandom('sft', settings.seed, index)
  const fewer = family === 'zoom' && random.uniform() < phase.fewerCellsShare
  const difficulty = fewer ? { ...defaultDifficulty, filled: 1 + random.below(5) } : defaultDifficulty
  return loadQuestion(family, 'train', index, settings.easyShare, difficulty)
}

/** The same picture, another cell asked for. Only of hard items: an easy one's picture shows its own answer. */
function siblingsOf(question: Question): Question[] {
  const { spec } = question
  if (spec.family !== 'zoom' || question.easy) return []
  return spec.cells.slice(1).flatMap((cell) => {
    const others = spec.cells.filter((c) => c !== cell)
    const sibling = { ...spec, answer: cell.digit, cells: [cell, ...others] }
    return splitOf(sibling) === 'train' ? [createQuestion(sibling, 0)] : []
  })
}

/** Demonstration number `index` of a user's tasks; guesses are drawn from all their answers. */
function userDemonstration(
  tasks: readonly UserTask[],
  settings: SftSettings,
  phase: SftPhase,
  index: number,
  context: TokenContext,
) {
  const task = createRandom('sft task', settings.seed, index).pick(tasks)
  const guesses = [...new Set(tasks.map((t) => t.gold))].sort()
  return demonstrationTokens(task, demonstrateUserTask(task, phase.mixture, guesses, settings.seed, index), context)
}

async function demonstrationsAt(
  settings: SftSettings,
  phase: SftPhase,
  index: number,
  context: TokenContext,
): Promise<DemonstrationTokens[]> {
  const question = sftQuestion(settings, phase, index)
  const demonstration = demonstrationAt(question, phase.mixture, settings.seed, index)
  const first = await demonstrationTokens(question, demonstration, context)
  if (!phase.siblings) return [first]
  const calls = siblingsOf(question).map((sibling, i) =>
    callTokens(sibling, demonstrate(sibling, 'right', createRandom('sibling', settings.seed, index, i)), context),
  )
  return [first, ...calls]
}

/** `tasks`: what `settings.tasks` teaches, where that is set. */
export async function sftBatch(
  settings: SftSettings,
  step: number,
  context: TokenContext,
  tasks?: readonly UserTask[],
): Promise<DemonstrationTokens[]> {
  const phase = settings.phases[sftPhaseAt(settings, step).phase - 1]!
  const indices = Array.from({ length: settings.batch }, (_, i) => step * settings.batch + i)
  if (tasks) return Promise.all(indices.map((index) => userDemonstration(tasks, settings, phase, index, context)))
  return (await Promise.all(indices.map((index) => demonstrationsAt(settings, phase, index, context)))).flat()
}

/** One optimiser step on demonstrations; `step` counts from 0. */
export async function sftStep(
  session: Session,
  settings: SftSettings,
  step: number,
  sequences: readonly DemonstrationTokens[],
): Promise<SftStep> {
  const { learner } = session.model
  const count = sequences.reduce((n, s) => n + s.selected.reduce((a, v) => a + v, 0), 0)
  const weights = sequences.map((s) => Float32Array.from(s.selected, (v) => -v / count))
  const { logprobs } = await learner.backward(learner.pack(sequences), weights)
  const learningRate = sftLearningRate(settings, step)
  const { gradientNorm } = await learner.step(learningRate)
  let loss = 0
  for (const [i, w] of weights.entries()) for (const [t, v] of w.entries()) if (v !== 0) loss += v * logprobs[i]![t]!
  return { step: step + 1, phase: sftPhaseAt(settings, step).phase, learningRate, loss, gradientNorm }
}

/**
 * Share of right calls of each family on hard validation items when a call has been opened, at temperature 0.2: what phase 1 is to teach. The thinking is a demonstrated
 * one, so that only the call is measured.
 */
export async function rightCallShares(session: Session, count = 64): Promise<Record<Family, number>> {
  const context = sftContext(session)
  const close = session.codec.tokenId('</tool_call>')
  const shares: Record<Family, number> = { zoom: 0, python: 0, search: 0 }
  const one = async (family: Family, index: number): Promise<void> => {
    const question = loadQuestion(family, 'validation', index, 0)
    const prompt = promptTokens(question, context)
    const { tokens } = await session.model.sampler.sample({
      tokens: Int32Array.from([...prompt.tokens, ...session.codec.encode('look \n</think>\n\n<tool_call>')]),
      images: prompt.images,
      maxTokens: 16,
      stopTokens: [close],
      temperature: 0.2,
      key: { seed: 1, step: 0, question: index, sample: 0 },
    })
    const wanted = formatCall(demonstrateCall(question, true, createRandom('right call', index)))
    if (`<tool_call>${session.codec.decode(tokens)}` === wanted) shares[family] += 1 / count
  }
  await Promise.all(families.flatMap((f) => Array.from({ length: count }, (_, i) => one(f, i))))
  return shares
}
