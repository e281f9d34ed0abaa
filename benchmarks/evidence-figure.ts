/** The README's picture of the evidence: figures of a compare.html side by side in one SVG, which needs no browser to make. Not here: drawing them (apps/train, compare-figure.ts). */

const columns = 2
const gap = 8

/** What stands above the picture's four figures in a compare.html; the first group that has one gives it. */
export const headlineFigures = [
  'Pass@1, validation, by steps',
  'Pass@1, validation, by rollouts',
  'Tool use in training',
  'All-wrong tool subgroups in training',
] as const

/** `html`: a compare.html. Figures stand in rows of two, in the order of `titles`. */
export function pictureOf(html: string, titles: readonly string[]): string {
  const drawn = html.match(/<svg .*?<\/svg>/gs) ?? []
  const figures = titles.map((title) => {
    const svg = drawn.find((text) => text.includes(`aria-label="${title}"`))
    const size = svg?.match(/ width="(\d+)" height="(\d+)"/)
    if (!svg || !size)
      throw new Error(`pictureOf: compare.html must have a figure "${title}", got none. Compare again.`)
    return { svg, width: Number(size[1]), height: Number(size[2]) }
  })
  const width = Math.max(...figures.map((f) => f.width)) + gap
  const height = Math.max(...figures.map((f) => f.height)) + gap
  const all = [columns * width + gap, Math.ceil(figures.length / columns) * height + gap] as const
  const placed = figures.map(({ svg }, i) => {
    const [x, y] = [gap + (i % columns) * width, gap + Math.floor(i / columns) * height]
    return svg.replace('<svg ', `<svg x="${x}" y="${y}" `)
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${titles.join('; ')}" viewBox="0 0 ${all[0]} ${all[1]}" width="${all[0]}" height="${all[1]}"><rect width="${all[0]}" height="${all[1]}" fill="#fff"/>
${placed.join('\n')}
</svg>
`
}
