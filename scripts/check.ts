/**
 * Checks what neither the compiler nor the linter sees: layers, sizes, opening sentences, forbidden words, and that the
 * figures in texts are those of the results.
 *
 * Prints `file:line message` for each violation, then one line with the numbers; exit code 1 where there is a violation.
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Text } from '../bench/figures/texts.ts'
import { figureViolations } from './check/figures.ts'
import { checkTree } from './check/tree.ts'

/** Loads the benchmarks, which takes its time, only where there are texts to compare. */
async function readTexts(root: string): Promise<Text[]> {
  const { figureTexts } = await import('./figures/texts.ts')
  return figureTexts(root)
}

async function main(): Promise<void> {
  const root = resolve(process.argv[2] ?? '.')
  const { violations: structure, summary } = checkTree(root)
  const texts = existsSync(join(root, 'bench/results')) ? await readTexts(root) : []
  const violations = [...structure, ...texts.flatMap(figureViolations)]
  for (const { path, line, message } of violations) console.log(`${path}:${line} ${message}`)
  console.log(`check: ${violations.length} violations; ${summary}`)
  process.exitCode = violations.length > 0 ? 1 : 0
}

await main()
