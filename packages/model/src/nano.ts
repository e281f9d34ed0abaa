/** Where the nano model's config.json and preprocessor_config.json are. */
import { fileURLToPath } from 'node:url'

export const nanoDirectory: string = fileURLToPath(new URL('../nano', import.meta.url))
