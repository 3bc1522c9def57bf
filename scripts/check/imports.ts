/** Who imports whom: the relative imports of every TypeScript and JavaScript file, types included. */
import { posix } from 'node:path'
import ts from 'typescript6'
import { isScript, lineAt, type Source } from './sources.ts'

/** One import of a file of this repository by another. */
export interface Import {
  readonly from: string
  readonly to: string
  readonly line: number
}

/** Static, dynamic and re-exporting imports; packages and Node's modules are left out. */
export function importsOf(sources: readonly Source[]): Import[] {
  return sources.filter(isScript).flatMap(({ path, text }) => {
    const { importedFiles } = ts.preProcessFile(text, true, true)
    const relative = importedFiles.filter(({ fileName }) => fileName.startsWith('.'))
    return relative.map(({ fileName, pos }) => ({
      from: path,
      to: posix.join(posix.dirname(path), fileName),
      line: lineAt(text, pos),
    }))
  })
}
