/** Trajectories as HTML: pictures, thinking, calls, observations, answer, and the forks of a resampled prefix side by side. Not here: which ones to show (report.ts). */
import type { RawImage, Segment, Trajectory } from '@axpo/trajectory'
import { encode } from 'fast-png'
import { escapeHtml } from './chart.ts'

export interface ShownTrajectory {
  readonly title: string
  readonly trajectory: Trajectory
  /** Continuations that were resampled from this trajectory's prefix. */
  readonly forks: readonly Trajectory[]
}

export interface TrajectoryView {
  readonly images: ReadonlyMap<string, RawImage>
  readonly decode: (tokens: ArrayLike<number>) => string
}

export function pngDataUri({ width, height, data }: RawImage): string {
  return `data:image/png;base64,${Buffer.from(encode({ width, height, data, channels: 3, depth: 8 })).toString('base64')}`
}

function imageTag(sha256: string, view: TrajectoryView): string {
  const image = view.images.get(sha256)
  if (!image) return ''
  return `<img src="${pngDataUri(image)}" width="${Math.min(160, image.width * (image.width < 64 ? 3 : 1))}" alt="${image.width} x ${image.height} pixels">`
}

/** Pads of one image read as one. */
const foldPads = (text: string): string => text.replace(/(<\|image_pad\|>)+/g, '<|image_pad|>')

function segmentHtml(t: Trajectory, s: Segment, view: TrajectoryView): string {
  const text = foldPads(view.decode(t.tokens.subarray(s.start, s.end)))
  const images = t.images.filter((i) => i.tokenStart >= s.start && i.tokenStart < s.end)
  const status = s.call && s.call.status !== 'ok' ? ` <em>${s.call.status}</em>` : ''
  return `<div class="segment ${s.kind}"><b>${s.kind}</b>${status} <code>${escapeHtml(text.trim())}</code>${images.map((i) => imageTag(i.sha256, view)).join('')}</div>`
}

function body(t: Trajectory, from: number, view: TrajectoryView): string {
  return t.segments
    .filter((s) => s.start >= from || s.end > from)
    .map((s) => segmentHtml(t, s, view))
    .join('')
}

const verdict = (t: Trajectory): string =>
  `<span class="${t.reward === 1 ? 'right' : 'wrong'}">${t.reward === 1 ? 'right' : 'wrong'}, answer ${escapeHtml(t.answer?.trim() ?? 'none')}</span>`

export function trajectoryHtml(shown: ShownTrajectory, view: TrajectoryView): string {
  const { trajectory: t, forks } = shown
  const branches = forks.map((f) => `<div class="fork">${verdict(f)}${body(f, f.parent!.forkToken, view)}</div>`)
  const resampled =
    forks.length === 0
      ? ''
      : `<p>Resampled from its first <code>&lt;tool_call&gt;</code> (token ${forks[0]!.parent!.forkToken}), ${forks.length} continuations:</p><div class="forks">${branches.join('')}</div>`
  return `<section><h3>${escapeHtml(shown.title)} <small>${escapeHtml(t.id)}</small></h3>${verdict(t)}${body(t, 0, view)}${resampled}</section>`
}
