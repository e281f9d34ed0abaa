/** Evaluations on disk: one trajectory file, whose header says how it was made. Written once, read back by `--from-trajectories`. */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { loadTrajectories, type RawImage, type Trajectory, TrajectoryWriter } from '@axpo/trajectory'

/** Writes beside the path and renames at the end: a file under its final name is whole. */
export function saveEvaluation(
  path: string,
  meta: Readonly<Record<string, unknown>>,
  trajectories: readonly Trajectory[],
  images: ReadonlyMap<string, RawImage>,
): void {
  const part = `${path}.part`
  if (existsSync(part)) rmSync(part)
  const writer = TrajectoryWriter.open(part, { meta })
  for (const t of trajectories) {
    for (const { sha256 } of t.images) writer.image(sha256, images.get(sha256)!)
    writer.trajectory(t)
  }
  writer.sync()
  writer.close()
  renameSync(part, path)
}

/** All trajectories of a file, or of every .msgpack file of a folder in order of name. */
export async function loadEvaluation(path: string): Promise<Trajectory[]> {
  const info = await stat(path).catch(() => null)
  if (!info)
    throw new Error(`eval: --from-trajectories needs a file or folder, got nothing at ${path}. Check the path.`)
  if (!info.isDirectory()) return [...(await loadTrajectories(path)).trajectories]
  const names = (await readdir(path)).filter((n) => n.endsWith('.msgpack')).sort()
  if (names.length === 0)
    throw new Error(`eval: ${path} holds no .msgpack file. Give the folder of a run's trajectories or evaluations.`)
  const files = await Promise.all(names.map((n) => loadTrajectories(join(path, n))))
  return files.flatMap((f) => f.trajectories)
}
