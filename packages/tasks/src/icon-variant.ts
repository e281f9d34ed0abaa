/** Variants of an 8 x 8 icon that the held-out family shows. Bits row-major, true bright; turns are clockwise. Not here: drawing (raster.ts). */

export type IconVariant = 'rotate90' | 'rotate180' | 'rotate270' | 'mirror' | 'invert'
export const iconVariants: readonly IconVariant[] = ['rotate90', 'rotate180', 'rotate270', 'mirror', 'invert']

const side = 8
const last = side - 1

/** For each place of the variant: which place of the icon it shows. */
const sources: Readonly<Record<Exclude<IconVariant, 'invert'>, (row: number, column: number) => [number, number]>> = {
  rotate90: (row, column) => [last - column, row],
  rotate180: (row, column) => [last - row, last - column],
  rotate270: (row, column) => [column, last - row],
  mirror: (row, column) => [row, last - column],
}

export function applyVariant(bits: readonly boolean[], variant: IconVariant): boolean[] {
  if (bits.length !== side * side)
    throw new Error(`applyVariant: an icon has ${side * side} bits, got ${bits.length}. Use iconBits.`)
  if (variant === 'invert') return bits.map((bit) => !bit)
  return bits.map((_, i) => {
    const [row, column] = sources[variant](Math.floor(i / side), i % side)
    return bits[row * side + column]!
  })
}
