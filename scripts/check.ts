/**
 * Checks the structure that neither the compiler nor the linter sees: layers, sizes, opening sentences, forbidden words.
 *
 * Prints `file:line message` for each violation, then one line with the numbers; exit code 1 where there is a violation.
 */
import { resolve } from 'node:path'
import { checkTree } from './check/tree.ts'

function main(): void {
  const { violations, summary } = checkTree(resolve(process.argv[2] ?? '.'))
  for (const { path, line, message } of violations) console.log(`${path}:${line} ${message}`)
  console.log(`check: ${violations.length} violations; ${summary}`)
  process.exitCode = violations.length > 0 ? 1 : 0
}

main()
