/** Makes the page's one script. Any bundler will do that honours the `browser` condition; only the fresh WGSL is special to this repository. */
import { fileURLToPath } from 'node:url'
import { casesModule, embeddedModule } from '@axpo/kernels/embed'
import { rolldown } from 'rolldown'

/** Modules that are no files. */
const modules: Readonly<Record<string, () => string>> = { '#embedded': embeddedModule, '#cases': casesModule }

/** An ES module, as text. */
export async function bundlePage(): Promise<string> {
  const bundle = await rolldown({
    input: fileURLToPath(new URL('./page.ts', import.meta.url)),
    platform: 'browser',
    resolve: { conditionNames: ['browser', 'import', 'default'] },
    // only Node looks for the suite's cases in folders
    external: ['node:fs'],
    plugins: [
      {
        // what the build wrote may be older than the WGSL
        name: 'fresh-kernels',
        resolveId: (id) => (id in modules ? `\0${id}` : null),
        load: (id) => modules[id.slice(1)]?.() ?? null,
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
