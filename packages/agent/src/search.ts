/**
 * `search`: BM25 over the episode's documents (Robertson and Zaragoza 2009; k1 1.2, b 0.75, idf ln(1 + (N - df + 0.5) / (df + 0.5))). Exact and deterministic,
 * ties by document id. Not here: web search.
 */
import type { SearchDocument, Tool } from './tool.ts'

const k1 = 1.2
const b = 0.75

export function terms(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
}

/** Documents that share a term with the query, best first, at most `count`. */
export function rankDocuments(query: string, documents: readonly SearchDocument[], count: number): SearchDocument[] {
  const bags = documents.map((d) => terms(`${d.title} ${d.text}`))
  const meanLength = bags.reduce((n, bag) => n + bag.length, 0) / Math.max(1, bags.length)
  const scores = documents.map(() => 0)
  for (const term of new Set(terms(query))) {
    const counts = bags.map((bag) => bag.filter((t) => t === term).length)
    const frequency = counts.filter((n) => n > 0).length
    const idf = Math.log(1 + (documents.length - frequency + 0.5) / (frequency + 0.5))
    for (const [i, n] of counts.entries())
      scores[i]! += (idf * n * (k1 + 1)) / (n + k1 * (1 - b + (b * bags[i]!.length) / meanLength))
  }
  return documents
    .map((document, i) => ({ document, score: scores[i]! }))
    .filter(({ score }) => score > 0)
    .sort((x, y) => y.score - x.score || (x.document.id < y.document.id ? -1 : 1))
    .slice(0, count)
    .map(({ document }) => document)
}

const snippetCharacters = 400

export function renderResults(results: readonly SearchDocument[]): string {
  if (results.length === 0) return 'No search results found.'
  return results.map((d, i) => `[${i + 1}] ${d.title} — ${d.text.slice(0, snippetCharacters)}`).join('\n')
}

const spec: Tool['spec'] = {
  type: 'function',
  function: {
    name: 'search',
    description: 'Search the documents at hand.',
    parameters: {
      type: 'object',
      properties: { query: { type: 'string', minLength: 1 } },
      required: ['query'],
      additionalProperties: false,
    },
  },
}

/** `results`: how many documents an observation shows. */
export function createSearchTool(results = 1): Tool {
  if (!Number.isInteger(results) || results < 1)
    throw new Error(`createSearchTool: results must be a positive integer, got ${results}.`)
  return {
    spec,
    run: async (args, { documents }) => ({
      status: 'ok',
      text: renderResults(rankDocuments(args.query as string, documents, results)),
      image: null,
    }),
  }
}
