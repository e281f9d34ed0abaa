/**
 * Reads and writes safetensors: one file or an index with shards, F32 / BF16 / F16 into f32; writes F32 or BF16.
 * Not here: which tensors a model needs (checkpoint.ts).
 *
 * File = u64 little-endian header length, JSON header, data. Offsets relative to the end of the header.
 */
import { join, open, readFile, rename, rm, stat } from '#files'

export type StoredDtype = 'F32' | 'BF16' | 'F16'

export interface TensorEntry {
  readonly file: string
  readonly dtype: StoredDtype
  readonly shape: readonly number[]
  /** Bytes from the start of the file. */
  readonly byteStart: number
  readonly byteLength: number
}

export interface NamedTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array
}

const ELEMENT_BYTES: Record<StoredDtype, number> = { F32: 4, BF16: 2, F16: 2 }

function product(shape: readonly number[]): number {
  return shape.reduce((total, size) => total * size, 1)
}

function checkEntry(path: string, name: string, raw: unknown, dataStart: number, fileBytes: number): TensorEntry {
  const entry = raw as { dtype?: unknown; shape?: unknown; data_offsets?: unknown }
  const dtype = entry.dtype
  if (dtype !== 'F32' && dtype !== 'BF16' && dtype !== 'F16')
    throw new Error(
      `safetensors: ${name} in ${path} must be F32, BF16 or F16, got ${String(dtype)}. Convert the checkpoint.`,
    )
  if (!Array.isArray(entry.shape) || !Array.isArray(entry.data_offsets))
    throw new Error(
      `safetensors: ${name} in ${path} has no shape or data_offsets. The header is damaged; copy the file again.`,
    )
  const shape = entry.shape as number[]
  const [start, end] = entry.data_offsets as [number, number]
  const byteLength = product(shape) * ELEMENT_BYTES[dtype]
  if (end - start !== byteLength)
    throw new Error(
      `safetensors: ${name} in ${path} must hold ${byteLength} bytes for [${shape}] ${dtype}, got ${end - start}. Copy the file again.`,
    )
  if (dataStart + end > fileBytes)
    throw new Error(
      `safetensors: ${path} is truncated: ${name} ends at byte ${dataStart + end}, got a file of ${fileBytes} bytes. Copy the file again.`,
    )
  return { file: path, dtype, shape, byteStart: dataStart + start, byteLength }
}

async function readHeader(path: string): Promise<Map<string, TensorEntry>> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `safetensors: ${path} cannot be opened (${error.code ?? error.message}). Give a folder with model.safetensors or its index.`,
    )
  })
  try {
    const fileBytes = (await file.stat()).size
    const lengthBytes = new Uint8Array(8)
    await file.read(lengthBytes, 0, 8, 0)
    const headerBytes = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true))
    if (fileBytes < 8 || headerBytes > fileBytes - 8)
      throw new Error(
        `safetensors: ${path} is truncated: header of ${headerBytes} bytes, got a file of ${fileBytes} bytes. Copy the file again.`,
      )
    const header = new Uint8Array(headerBytes)
    await file.read(header, 0, headerBytes, 8)
    let json: Record<string, unknown>
    try {
      json = JSON.parse(new TextDecoder().decode(header)) as Record<string, unknown>
    } catch {
      throw new Error(
        `safetensors: the header of ${path} must be JSON. The file is damaged or of another format; copy it again.`,
      )
    }
    const entries = new Map<string, TensorEntry>()
    for (const [name, raw] of Object.entries(json))
      if (name !== '__metadata__') entries.set(name, checkEntry(path, name, raw, 8 + headerBytes, fileBytes))
    return entries
  } finally {
    await file.close()
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Entries of a checkpoint folder (or of one .safetensors file), by tensor name. */
export async function loadTensorIndex(path: string): Promise<Map<string, TensorEntry>> {
  if (path.endsWith('.safetensors')) return readHeader(path)
  const indexPath = join(path, 'model.safetensors.index.json')
  if (!(await exists(indexPath))) return readHeader(join(path, 'model.safetensors'))
  const index = JSON.parse(await readFile(indexPath, 'utf8')) as { weight_map?: Record<string, string> }
  if (!index.weight_map) throw new Error(`safetensors: ${indexPath} must have weight_map. Copy the index again.`)
  const entries = new Map<string, TensorEntry>()
  for (const file of [...new Set(Object.values(index.weight_map))].sort()) {
    const shard = await readHeader(join(path, file))
    for (const [name, entry] of shard) entries.set(name, entry)
  }
  for (const [name, file] of Object.entries(index.weight_map))
    if (!entries.has(name))
      throw new Error(
        `safetensors: ${name} must be in ${file} as ${indexPath} says, got no such tensor. Copy the shard again.`,
      )
  return entries
}

export function decodeBf16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16
  return new Float32Array(words.buffer)
}

/** Round to nearest even; NaN stays NaN. */
export function encodeBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const w = words[i]!
    bits[i] = (w & 0x7fffffff) > 0x7f800000 ? (w >>> 16) | 0x40 : (w + 0x7fff + ((w >>> 16) & 1)) >>> 16
  }
  return bits
}

function decodeF16(bits: Uint16Array): Float32Array {
  const out = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]!
    const exponent = (b >> 10) & 31
    const fraction = b & 1023
    const magnitude =
      exponent === 0
        ? fraction * 2 ** -24
        : exponent === 31
          ? fraction
            ? Number.NaN
            : Number.POSITIVE_INFINITY
          : (1 + fraction / 1024) * 2 ** (exponent - 15)
    out[i] = b & 0x8000 ? -magnitude : magnitude
  }
  return out
}

/** Values of one tensor as f32. `expectedShape` is compared with the stored one. */
export async function loadTensor(
  name: string,
  entry: TensorEntry,
  expectedShape?: readonly number[],
): Promise<Float32Array> {
  if (expectedShape && expectedShape.join() !== entry.shape.join())
    throw new Error(
      `safetensors: ${name} in ${entry.file} must be [${expectedShape}], got [${entry.shape}]. Use the checkpoint that belongs to this config.json.`,
    )
  const bytes = new Uint8Array(entry.byteLength)
  const file = await open(entry.file, 'r')
  try {
    let done = 0
    while (done < bytes.length) {
      const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), entry.byteStart + done)
      if (bytesRead === 0)
        throw new Error(
          `safetensors: ${entry.file} ended inside ${name}, expected ${bytes.length} bytes, got ${done}. Copy the file again.`,
        )
      done += bytesRead
    }
  } finally {
    await file.close()
  }
  if (entry.dtype === 'F32') return new Float32Array(bytes.buffer)
  const bits = new Uint16Array(bytes.buffer)
  return entry.dtype === 'BF16' ? decodeBf16(bits) : decodeF16(bits)
}

/** Writes one file atomically: to `path.tmp`, flushed, then renamed. */
export async function saveTensors(
  path: string,
  tensors: readonly NamedTensor[],
  options: { readonly dtype?: 'F32' | 'BF16'; readonly metadata?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const dtype = options.dtype ?? 'F32'
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...options.metadata } }
  let offset = 0
  for (const { name, shape, data } of tensors) {
    if (product(shape) !== data.length)
      throw new Error(
        `safetensors: ${name} must have ${product(shape)} elements for [${shape}], got ${data.length}. Pass the whole tensor.`,
      )
    const end = offset + data.length * ELEMENT_BYTES[dtype]
    header[name] = { dtype, shape, data_offsets: [offset, end] }
    offset = end
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const headerBytes = Math.ceil(text.length / 8) * 8
  const head = new Uint8Array(8 + headerBytes).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true)
  head.set(text, 8)
  const temporary = `${path}.tmp`
  try {
    const file = await open(temporary, 'w')
    try {
      await file.writeFile(head)
      for (const { data } of tensors) {
        const stored = dtype === 'F32' ? data : encodeBf16(data)
        await file.writeFile(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength))
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new Error(
      `safetensors: ${path} could not be written (${(error as Error).message}). Free disk space or choose another folder; nothing already there was touched.`,
      {
        cause: error,
      },
    )
  }
}
