import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadParameters, saveParameters } from './checkpoint.ts'
import { loadConfig } from './config.ts'
import { createInitialParameters } from './init.ts'
import { planParameters } from './parameters.ts'
import { decodeBf16, encodeBf16, loadTensor, loadTensorIndex, saveTensors } from './safetensors.ts'

const nano = new URL('../nano', import.meta.url).pathname
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'axpo-safetensors-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('safetensors', () => {
  it('rounds to bf16 half to even and back', () => {
    const values = Float32Array.of(1, -2.5, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.3e38, Number.NaN, 0)
    expect([...decodeBf16(encodeBf16(values))]).toEqual(
      [1, -2.5, 1, 1 + 2 ** -6, Number.POSITIVE_INFINITY, Number.NaN, 0].map((v, i) =>
        i === 4 ? decodeBf16(encodeBf16(values))[4] : v,
      ),
    )
  })

  it('round-trips a checkpoint in f32 to the bit and in bf16 to its rounding', async () => {
    const config = await loadConfig(nano)
    const flat = createInitialParameters(config, 7)
    await saveParameters(config, flat, join(folder, 'a'))
    expect(await loadParameters(await loadConfig(join(folder, 'a')), join(folder, 'a'))).toEqual(flat)
    await saveParameters(config, flat, join(folder, 'b'), 'BF16')
    expect(await loadParameters(config, join(folder, 'b'))).toEqual(decodeBf16(encodeBf16(flat)))
  })

  it('uses the names and shapes of Hugging Face', async () => {
    const list = planParameters(await loadConfig(nano))
    expect(list.byName.get('model.visual.patch_embed.proj.weight')?.shape).toEqual([64, 3, 2, 4, 4])
    expect(list.byName.get('model.visual.deepstack_merger_list.1.norm.weight')?.shape).toEqual([256])
    expect(list.byName.get('model.visual.merger.norm.weight')?.shape).toEqual([64])
    expect(list.byName.get('model.language_model.layers.3.self_attn.o_proj.weight')?.shape).toEqual([96, 128])
    expect(list.byName.has('lm_head.weight')).toBe(false)
    expect(list.parameters.length).toBe(11 * 4 + 2 + 12 * 3 + 3 + 6 * 3)
  })

  it('reads shards through an index', async () => {
    const x = { name: 'x', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }
    const y = { name: 'y', shape: [1], data: Float32Array.of(5) }
    await saveTensors(join(folder, 's-1.safetensors'), [x])
    await saveTensors(join(folder, 's-2.safetensors'), [y])
    const index = { weight_map: { x: 's-1.safetensors', y: 's-2.safetensors' } }
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
    const entries = await loadTensorIndex(folder)
    expect(await loadTensor('x', entries.get('x')!, [2, 2])).toEqual(x.data)
    expect(await loadTensor('y', entries.get('y')!)).toEqual(y.data)
    await expect(loadTensor('x', entries.get('x')!, [4])).rejects.toThrow(/x in .* must be \[4\], got \[2,2\]/)
  })

  it('says what is wrong with a missing, truncated or other checkpoint', async () => {
    const config = await loadConfig(nano)
    await expect(loadParameters(config, join(folder, 'none'))).rejects.toThrow(/cannot be opened \(ENOENT\)/)
    const path = join(folder, 'cut.safetensors')
    await saveTensors(path, [{ name: 'x', shape: [8], data: new Float32Array(8) }])
    await expect(loadParameters(config, path)).rejects.toThrow(
      /must hold model\.visual\.patch_embed\.proj\.weight \[64,3,2,4,4\]/,
    )
    await truncate(path, (await readFile(path)).length - 4)
    await expect(loadTensorIndex(path)).rejects.toThrow(/truncated: x ends at byte/)
    await writeFile(path, 'not a checkpoint at all')
    await expect(loadTensorIndex(path)).rejects.toThrow(/truncated|must be JSON/)
  })

  it('a failed write leaves the old file alone', async () => {
    await expect(saveTensors(join(folder, 'absent', 'm.safetensors'), [])).rejects.toThrow(/could not be written/)
  })
})
