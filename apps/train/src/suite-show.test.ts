import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { expect, test, vi } from 'vitest'
import { addShowCommand, suiteShow } from './suite-show.ts'

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

test('the command: every family that the split has, and where the files lie', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'suite-show-'))
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  const families = async (args: readonly string[]) => {
    const suite = new Command('suite')
    addShowCommand(suite)
    await suite.parseAsync(['show', '--out', folder, '--count', '1', ...args], { from: 'user' })
    const page = await readFile(join(folder, 'gallery.html'), 'utf8')
    return [...page.matchAll(/<h2>(\w+) /g)].map((m) => m[1])
  }
  try {
    expect(await families([])).toEqual(['zoom', 'python', 'search', 'image_search'])
    expect(await families(['--split', 'train', '--s', '1'])).toEqual(['zoom', 'python', 'search'])
    expect(await families(['--family', 'search'])).toEqual(['search'])
    expect(log.mock.calls[0]![0]).toContain(join(folder, 'gallery.png'))
  } finally {
    log.mockRestore()
    await rm(folder, { recursive: true })
  }
})
