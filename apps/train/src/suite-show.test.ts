import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { suiteShow } from './suite-show.ts'

test('writes the page and the PNG; wrong requests are refused before anything is written', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'suite-show-'))
  try {
    const out = join(folder, 'new')
    const options = { out, count: 2, split: 'test', easyShare: 0.5, families: ['zoom', 'image_search'] } as const
    await expect(suiteShow({ ...options, count: 0 })).rejects.toThrow(/count must be a positive integer, got 0/)
    await expect(suiteShow({ ...options, families: [] })).rejects.toThrow(/at least one family/)
    await expect(suiteShow({ ...options, split: 'train' })).rejects.toThrow(/held out and has no train split/)
    await expect(readFile(join(out, 'gallery.html'))).rejects.toThrow(/ENOENT/)
    const shown = await suiteShow(options)
    expect(shown).toEqual({ page: join(out, 'gallery.html'), picture: join(out, 'gallery.png') })
    expect((await readFile(join(out, 'gallery.html'), 'utf8')).match(/<article>/g)).toHaveLength(4)
    expect((await readFile(join(out, 'gallery.png'))).subarray(1, 4).toString()).toBe('PNG')
  } finally {
    await rm(folder, { recursive: true })
  }
})
