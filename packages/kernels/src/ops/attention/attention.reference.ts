/** f64 reference of attention: `visible[row]` lists the kv rows a row sees, in order. */
export interface AttentionShape {
  readonly heads: number
  readonly kvHeads: number
  readonly channels: number
  readonly scale: number
}

export function attentionReference(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  visible: readonly (readonly number[])[],
  shape: AttentionShape,
): Float64Array {
  const { heads: H, kvHeads: K, channels: C, scale } = shape
  const o = new Float64Array(q.length)
  for (const [row, keys] of visible.entries())
    for (let head = 0; head < H; head++) {
      const kv = Math.floor((head * K) / H)
      const scores = keys.map((key) => {
        let sum = 0
        for (let c = 0; c < C; c++) sum += q[(row * H + head) * C + c]! * k[(key * K + kv) * C + c]!
        return sum * scale
      })
      const peak = Math.max(...scores)
      const total = scores.reduce((sum, s) => sum + Math.exp(s - peak), 0)
      for (const [i, key] of keys.entries())
        for (let c = 0; c < C; c++)
          o[(row * H + head) * C + c]! += (Math.exp(scores[i]! - peak) / total) * v[(key * K + kv) * C + c]!
    }
  return o
}
