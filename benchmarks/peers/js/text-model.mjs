// Shape of the text model that the JavaScript peers train: nano's, without images and rotary positions (a little less work than ours).
export const shape = { vocab: 512, width: 96, mlp: 256, layers: 4, heads: 8, kvHeads: 2, channels: 16 }

const { vocab, width, mlp, layers, heads, kvHeads, channels } = shape

/** Name and dimensions of every parameter; vectors are gains. */
export const parameters = [
  ['embed', [vocab, width]],
  ['norm', [width]],
  ...Array.from({ length: layers }, (_, i) =>
    Object.entries({
      n1: [width],
      q: [width, heads * channels],
      k: [width, kvHeads * channels],
      v: [width, kvHeads * channels],
      o: [heads * channels, width],
      qn: [channels],
      kn: [channels],
      n2: [width],
      gate: [width, mlp],
      up: [width, mlp],
      down: [mlp, width],
    }).map(([name, dimensions]) => [`${name}${i}`, dimensions]),
  ).flat(),
]

export const initial = (dimensions) =>
  dimensions.length === 1
    ? new Float32Array(dimensions[0]).fill(1)
    : Float32Array.from(
        { length: dimensions[0] * dimensions[1] },
        (_, i) => (((i * 7919 + 13) % 2003) / 2003 - 0.5) * 0.07,
      )

/** Random tokens as rows of the identity: the WebAssembly back-ends have no gradient for a gather. */
export function oneHot(rows, seed) {
  const data = new Float32Array(rows * vocab)
  for (let i = 0; i < rows; i++) data[i * vocab + ((Math.imul(i + seed * 977 + 1, 2654435761) >>> 9) % 480)] = 1
  return data
}

/** 0 on and below the diagonal, a large negative number above. */
export const causal = (tokens) =>
  Float32Array.from({ length: tokens * tokens }, (_, i) => (i % tokens > Math.floor(i / tokens) ? -1e9 : 0))
