/** A small, fixed set of trajectories (a rollout with a zoom and a continuation forked inside it): what the golden file holds. Used by tests. */
import type { RawImage, Segment, ToolCall, Trajectory } from './trajectory.ts'

export const sampleImage: RawImage = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => i * 14) }
export const sampleSha256 = 'a1'.repeat(32)

const call: ToolCall = {
  name: 'image_zoom_in_tool',
  argumentsJson: '{"bbox_2d":[0,0,250,250],"img_idx":0,"label":""}',
  status: 'ok',
  observation: '',
  imageSha256: sampleSha256,
}

function segments(version: number): Segment[] {
  return [
    { kind: 'prompt', start: 0, end: 4, weightVersion: -1 },
    { kind: 'think', start: 4, end: 6, weightVersion: version },
    { kind: 'act', start: 6, end: 9, weightVersion: version, call },
    { kind: 'observe', start: 9, end: 12, weightVersion: -1 },
    { kind: 'answer', start: 12, end: 14, weightVersion: version },
  ]
}

function rollout(sample: number, parent: Trajectory['parent'], shift: number): Trajectory {
  const all = segments(3)
  const trainable = Uint8Array.from({ length: 14 }, (_, i) =>
    all.some((s) => s.weightVersion >= 0 && i >= s.start && i < s.end) ? 1 : 0,
  )
  return {
    id: `7-2-zoom-test-5-${sample}`,
    questionId: 'zoom-test-5',
    family: 'zoom',
    split: 'test',
    step: 2,
    question: 11,
    sample,
    parent,
    tokens: Int32Array.from([1, 498, 498, 2, 30, 31, 500, 40, 501, 8, 498, 9, 50 + shift, 3]),
    logprobs: Float32Array.from(trainable, (t, i) => (t ? -(i + 1) / 8 : 0)),
    entropies: Float32Array.from(trainable, (t, i) => (t ? i / 16 : 0)),
    trainable,
    segments: all,
    images: [
      { sha256: sampleSha256, tokenStart: 1, tokenCount: 2 },
      { sha256: sampleSha256, tokenStart: 10, tokenCount: 1 },
    ],
    answer: String(shift),
    reward: shift,
    finish: 'answer',
  }
}

const source = rollout(0, null, 0)
export const sampleTrajectories: readonly Trajectory[] = [source, rollout(1000, { id: source.id, forkToken: 7 }, 1)]
