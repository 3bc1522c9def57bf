/** Cycles of imports, found as strongly connected components (Tarjan 1972). */
import type { Import } from './imports.ts'
import type { Violation } from './sources.ts'

/** One violation for each group of files that import one another in a circle. */
export function cycles(imports: readonly Import[]): Violation[] {
  const graph = new Map<string, string[]>()
  for (const { from, to } of imports) graph.set(from, [...(graph.get(from) ?? []), to])
  return components(graph)
    .filter((group) => group.length > 1 || graph.get(group[0] ?? '')?.includes(group[0] ?? ''))
    .map((group) => group.sort())
    .map((group) => ({ path: group[0] ?? '', line: 1, message: `imports in a circle: ${group.join(', ')}` }))
}

function components(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (node: string): number => {
    let lowest = index.size
    const own = lowest
    index.set(node, own)
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) lowest = Math.min(lowest, visit(next))
      else if (stack.includes(next)) lowest = Math.min(lowest, index.get(next) ?? own)
    }
    if (lowest === own) found.push(stack.splice(stack.indexOf(node)))
    return lowest
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return found
}
