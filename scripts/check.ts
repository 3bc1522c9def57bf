/**
 * Checks the structure that neither the compiler nor the linter sees: layers, sizes, opening sentences, forbidden words.
 *
 * Prints `file:line message` for each violation, then one line with the numbers; exit code 1 where there is a violation.
 */
import { resolve } from 'node:path'
import { cycles } from './check/cycles.ts'
import { functionsOf } from './check/functions.ts'
import { importsOf } from './check/imports.ts'
import { layerViolations } from './check/layers.ts'
import { fileSizes, functionSizes } from './check/sizes.ts'
import { readSources, type Source, type Violation } from './check/sources.ts'
import { wordViolations } from './check/words.ts'

/** Everything found in the tree below `root`, and the line of numbers that ends the report. */
export function checkTree(root: string): { violations: Violation[]; summary: string } {
  const sources = readSources(root)
  const imports = importsOf(sources)
  const files = fileSizes(sources.filter(isMeasured))
  const functions = functionSizes(sources.filter(hasMeasuredFunctions).flatMap(functionsOf))
  const violations = [
    ...layerViolations(imports, sources),
    ...cycles(imports),
    ...files.violations,
    ...functions.violations,
    ...sources.flatMap(wordViolations),
  ]
  return { violations, summary: `${sources.length} files; ${files.summary}; ${functions.summary}` }
}

const measured = ['src/', 'native/', 'bench/', 'scripts/', 'test/']

function isMeasured({ path }: Source): boolean {
  return measured.some((folder) => path.startsWith(folder))
}

/** A test file is one long list of small cases inside a callback; its functions say nothing. */
function hasMeasuredFunctions(source: Source): boolean {
  return isMeasured(source) && !source.path.startsWith('test/')
}

function main(): void {
  const { violations, summary } = checkTree(resolve(process.argv[2] ?? '.'))
  for (const { path, line, message } of violations) console.log(`${path}:${line} ${message}`)
  console.log(`check: ${violations.length} violations; ${summary}`)
  process.exitCode = violations.length > 0 ? 1 : 0
}

if (process.argv[1] === import.meta.filename) main()
