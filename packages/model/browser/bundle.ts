/** Makes the page's one script. Any bundler will do that honours the `browser` condition; only the fresh WGSL is special to this repository. */
import { fileURLToPath } from 'node:url'
import { embeddedModule } from '@axpo/kernels/embed'
import { rolldown } from 'rolldown'

/** An ES module, as text. */
export async function bundlePage(): Promise<string> {
  const bundle = await rolldown({
    input: fileURLToPath(new URL('./page.ts', import.meta.url)),
    platform: 'browser',
    resolve: { conditionNames: ['browser', 'import', 'default'] },
    plugins: [
      {
        // what the build wrote may be older than the WGSL
        name: 'fresh-kernels',
        resolveId: (id) => (id === '#embedded' ? '\0embedded' : null),
        load: (id) => (id === '\0embedded' ? embeddedModule() : null),
      },
    ],
    onLog(_, log) {
      throw new Error(`bundlePage: the page must bundle without a remark, got ${log.message}.`)
    },
  })
  try {
    const { output } = await bundle.generate({ format: 'esm', minify: false })
    if (output.length !== 1) throw new Error(`bundlePage: one script is wanted, got ${output.length}.`)
    return output[0].code
  } finally {
    await bundle.close()
  }
}
