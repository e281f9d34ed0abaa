/**
 * What can be set, frozen in options.json: a new option is a decision, made on purpose. `npm test -- scripts/structure -u` writes today's lists there; commit them with the reason.
 * At most 20 fields each.
 */
import { expect, test } from 'vitest'
import debts from './debts.json' with { type: 'json' }
import { files, isTest, isTypeScript, type Node, nodesOf } from './source.ts'

const sources = files.filter(
  (path) => /^(packages|apps)\/[^/]+\/src\//.test(path) && isTypeScript(path) && !isTest(path),
)
const settingsName = /^(Recipe|Limits|Difficulty|EvaluationPlan|Capacities|(Tasks|Tools)File|\w*(Settings|Options))$/

const keyOf = (member: Node): string => String((member.key as Node | undefined)?.name ?? '')

/** Interfaces of settings: `package Name` -> fields. */
function declaredSettings(): Record<string, string[]> {
  const found: Record<string, string[]> = {}
  for (const path of sources) {
    for (const { node } of nodesOf(
      path,
      /interface \w*(Recipe|Limits|Difficulty|Plan|Capacities|File|Settings|Options)\b/,
    )) {
      if (node.type !== 'TSInterfaceDeclaration') continue
      const name = String((node.id as Node).name)
      if (!settingsName.test(name)) continue
      const members = (node.body as { readonly body: readonly Node[] }).body
      found[`${path.split('/').slice(0, 2).join('/')} ${name}`] = members.map(keyOf).sort()
    }
  }
  return found
}

/** The call that declares a flag to commander: `.option('--x')`, `new Option('--x')`. */
function declaresFlag(parent: Node | null): boolean {
  const callee = parent?.callee as Node | undefined
  const name = String((callee?.property as Node | undefined)?.name ?? callee?.name ?? '')
  return /^([oO]ption|requiredOption)$/.test(name)
}

/** `file` -> flags. */
function declaredFlags(): Record<string, string[]> {
  const found: Record<string, string[]> = {}
  for (const path of sources.filter((p) => p.startsWith('apps/')))
    for (const { node, parent } of nodesOf(path, /['"`]--/)) {
      if (node.type !== 'Literal' || typeof node.value !== 'string' || !declaresFlag(parent)) continue
      const flag = /^(?:--?[a-z-]+, )?(--[a-z-]+)(?: <[^>]+>)?$/.exec(node.value)?.[1]
      if (flag) found[path] = [...(found[path] ?? []), flag].sort()
    }
  return found
}

const sorted = (record: Readonly<Record<string, string[]>>) =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

test('settings and flags are the frozen ones', async () => {
  const declared = { settings: sorted(declaredSettings()), flags: sorted(declaredFlags()) }
  // one line a list
  const text = JSON.stringify(declared, null, 2).replace(
    /\[\s+([^\]]*?)\s+\]/g,
    (_, inner: string) => `[${inner.replace(/\s+/g, ' ')}]`,
  )
  await expect(`${text}\n`).toMatchFileSnapshot('./structure/options.json')
})

test('at most 20 fields each', () => {
  const allowed: Readonly<Record<string, number>> = debts.optionFields
  const tooMany = Object.entries(declaredSettings()).filter(([name, fields]) => fields.length > (allowed[name] ?? 20))
  expect(tooMany.map(([name, fields]) => `${name}: ${fields.length}`)).toEqual([])
})
