/** Makes JavaScript of TypeScript by leaving out the types; nothing is checked, `npm run check` does that. */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const folders = ['src', 'test', 'bench', 'scripts', 'examples', 'experiments']
const target = join(root, 'build/tests')

/** Where the JavaScript of a file of this repository goes; undefined for files of others. */
export function compiledPath(path) {
  const inside = relative(root, path)
  return inside.startsWith('..') ? undefined : join(target, `${inside}.js`)
}

const options = { format: 'esm', target: 'node20', sourcemap: 'inline', sourcesContent: false }

/** The JavaScript of one file. esbuild is loaded where it is needed alone: that takes as long as all else. */
export async function withoutTypes(path) {
  const { transform } = await import('esbuild')
  const { code } = await transform(readFileSync(path, 'utf8'), { ...options, loader: 'ts', sourcefile: path })
  return code
}

/** Makes that of all files of the repository. */
export async function compileAll() {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .map((name) => join(root, folder, String(name)))
      .filter((path) => /\.m?ts$/.test(path)),
  )
  await Promise.all(
    files.map(async (path) => {
      const to = compiledPath(path)
      const code = await withoutTypes(path)
      mkdirSync(dirname(to), { recursive: true })
      // another run of the tests may read it now
      writeFileSync(`${to}.${process.pid}`, code)
      renameSync(`${to}.${process.pid}`, to)
    }),
  )
}
