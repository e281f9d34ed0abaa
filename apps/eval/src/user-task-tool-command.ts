/** `axpo tool <module> [call]`: a user's tool without any model. Lists what the model would be told of it, or runs one call and prints what the model would see. */
import { createToolRegistry, parseCall } from '@axpo/agent'
import type { Command } from 'commander'
import { loadUserTools } from './user-task-tools.ts'

async function tryTool(path: string, call: string | undefined): Promise<string> {
  const { tools, dispose } = await loadUserTools(path)
  try {
    const registry = createToolRegistry(tools)
    const names = tools.map((t) => t.spec.function.name)
    if (call === undefined)
      return registry
        .specs(names)
        .map((spec) => JSON.stringify(spec.function))
        .join('\n')
    const { status, text, image } = await registry.call(parseCall(call), names, { images: [], documents: [] })
    return [`${status}: ${text}`, ...(image ? [`image: ${image.width} x ${image.height}`] : [])].join('\n')
  } finally {
    await dispose()
  }
}

export function addToolCommand(program: Command): void {
  program
    .command('tool')
    .description('try a tool of your own: one call, and what the model would see')
    .argument('<module>', 'its file (docs/your-own-tool.md)')
    .argument('[call]', 'such as \'{"name": "roll", "arguments": {"sides": 6}}\'; without it, the tools are listed')
    .action(async (path: string, call: string | undefined) => console.log(await tryTool(path, call)))
}
