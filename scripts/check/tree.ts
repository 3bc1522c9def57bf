/** All checks over one tree, joined to one list and one line of numbers. */
import { cycles } from './cycles.ts'
import { functionsOf } from './functions.ts'
import { importsOf } from './imports.ts'
import { layerViolations } from './layers.ts'
import { fileSizes, functionSizes } from './sizes.ts'
import { readSources, type Source, type Violation } from './sources.ts'
import { wordViolations } from './words.ts'

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
