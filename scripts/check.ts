/**
 * Checks what neither the compiler nor the linter sees: layers, sizes, opening sentences, forbidden words, and that the
 * figures in texts are those of the results.
 *
 * Prints `file:line message` for each violation, then one line with the numbers; exit code 1 where there is a violation.
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { figureViolations } from './check/figures.ts'
import { checkTree } from './check/tree.ts'
import { figureTexts } from './figures/texts.ts'

function main(): void {
  const root = resolve(process.argv[2] ?? '.')
  const { violations: structure, summary } = checkTree(root)
  const texts = existsSync(join(root, 'bench/results')) ? figureTexts(root) : []
  const violations = [...structure, ...texts.flatMap(figureViolations)]
  for (const { path, line, message } of violations) console.log(`${path}:${line} ${message}`)
  console.log(`check: ${violations.length} violations; ${summary}`)
  process.exitCode = violations.length > 0 ? 1 : 0
}

main()
