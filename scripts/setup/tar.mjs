// Reading a tar archive held in memory: ustar with long names (pax and GNU), regular files only.
// Not here: decompression, writing archives, links, devices.
// @ts-check

const BLOCK = 512

/**
 * @typedef {{ name: string, mode: number, data: Buffer }} TarFile   data is a view into the archive
 */

/**
 * @param {Buffer} archive
 * @returns {Generator<TarFile>}
 */
export function* readTar(archive) {
  let longName = ''
  for (let offset = 0; offset + BLOCK <= archive.length; ) {
    const header = archive.subarray(offset, offset + BLOCK)
    if (header.every((byte) => byte === 0)) return
    checkHeader(header, offset)
    const byteLength = octal(header, 124, 12)
    const data = archive.subarray(offset + BLOCK, offset + BLOCK + byteLength)
    if (data.length < byteLength) {
      throw new Error(
        `readTar: the entry at byte ${offset} must hold ${byteLength} bytes, got ${data.length}. Fetch the archive again.`,
      )
    }
    const type = String.fromCharCode(header[156] ?? 0)
    if (type === 'L') longName = text(data, 0, data.length)
    else if (type === 'x') longName = paxPath(data) ?? longName
    else {
      if (type === '0' || type === '\0') yield { name: longName || nameOf(header), mode: octal(header, 100, 8), data }
      longName = ''
    }
    offset += BLOCK + Math.ceil(byteLength / BLOCK) * BLOCK
  }
  throw new Error(
    `readTar: an archive must close with an empty block, got its end after ${archive.length} bytes. Fetch it again.`,
  )
}

/** The sum of a header's bytes, its own field read as spaces, must be the number in that field. */
function checkHeader(/** @type {Buffer} */ header, /** @type {number} */ offset) {
  let sum = 0
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : (header[i] ?? 0)
  const stated = octal(header, 148, 8)
  if (sum !== stated) {
    throw new Error(
      `readTar: the header at byte ${offset} must have checksum ${stated}, got ${sum}. Fetch the archive again.`,
    )
  }
}

function nameOf(/** @type {Buffer} */ header) {
  const name = text(header, 0, 100)
  const prefix = text(header, 257, 5) === 'ustar' ? text(header, 345, 155) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

/** Records `length key=value\n`. */
function paxPath(/** @type {Buffer} */ data) {
  for (let offset = 0; offset < data.length; ) {
    const space = data.indexOf(32, offset)
    const length = Number(data.toString('ascii', offset, space))
    if (!(length > 0)) return undefined
    const record = data.toString('utf8', space + 1, offset + length - 1)
    if (record.startsWith('path=')) return record.slice(5)
    offset += length
  }
  return undefined
}

function text(/** @type {Buffer} */ bytes, /** @type {number} */ offset, /** @type {number} */ length) {
  const field = bytes.subarray(offset, offset + length)
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end < 0 ? field.length : end)
}

function octal(/** @type {Buffer} */ bytes, /** @type {number} */ offset, /** @type {number} */ length) {
  return Number.parseInt(text(bytes, offset, length).trim() || '0', 8)
}
