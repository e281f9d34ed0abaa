/** Files that come with the package: the nano model's tokenizer.json and tokenizer_config.json (with its chat template), and task files. */
import { fileURLToPath } from 'node:url'

export const nanoTokenizerDirectory: string = fileURLToPath(new URL('../nano', import.meta.url))

/** The task files that come with the project. */
export const elementsTasks: string = fileURLToPath(new URL('../data/elements.jsonl', import.meta.url))
