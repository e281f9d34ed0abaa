/** build/embedded.js, which scripts/embed.mjs writes: everything a web page would else have to fetch. */

/** base64 of kernels-<build>.wasm, by build. */
export const wasm: Readonly<Record<string, string>>
/** WGSL by file name. */
export const wgsl: Readonly<Record<string, string>>
