/** The source files a check looks at, read once. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One file: its path from the root with forward slashes, and its text. */
export interface Source {
  readonly path: string
  readonly text: string
}

/** What is wrong, and where. */
export interface Violation {
  readonly path: string
  readonly line: number
  readonly message: string
}

const folders = ['src', 'native', 'bench', 'scripts', 'test', 'bin', 'experiments', 'dashboard']
const endings = ['.ts', '.tsx', '.mts', '.mjs', '.js', '.cc', '.h', '.cu']
const skipped = new Set(['node_modules', 'dist', 'build', 'fixtures'])

/** All sources below the known folders of `root`, sorted by path. */
export function readSources(root: string): Source[] {
  const present = folders.filter((folder) => existsSync(join(root, folder)))
  const paths = present.flatMap((folder) => pathsBelow(root, folder)).sort()
  return paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

function pathsBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : pathsBelow(root, path)
    return endings.some((end) => entry.name.endsWith(end)) ? [path] : []
  })
}

/** Whether a file is TypeScript or JavaScript, which the compiler's parser reads. */
export function isScript({ path }: Source): boolean {
  return /\.(ts|tsx|mts|mjs|js)$/.test(path)
}

/** Line number, from 1, of an offset. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}
