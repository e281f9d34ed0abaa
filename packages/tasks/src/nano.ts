/** Where the nano model's tokenizer.json and tokenizer_config.json (with its chat template) are. */
import { fileURLToPath } from 'node:url'

export const nanoTokenizerDirectory: string = fileURLToPath(new URL('../nano', import.meta.url))
