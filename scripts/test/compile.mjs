/**
 * Makes JavaScript of TypeScript by leaving out the types; nothing is checked, `npm run check` does that. What is made of all files of
 * the repository imports one another, so that Node loads it as it is: calling hooks for each module takes half a second a process.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = resolve(import.meta.dirname, '../..')
const folders = ['src', 'test', 'bench', 'scripts', 'examples', 'experiments']
const target = join(root, 'build/tests')

/** Where the JavaScript of a TypeScript file of this repository goes; undefined for all other files. */
export function compiledPath(path) {
  const inside = relative(root, resolve(path))
  const ours = /\.m?ts$/.test(inside) && folders.includes(inside.split(sep)[0])
  return ours ? join(target, `${inside}.js`) : undefined
}

/** The file that a JavaScript file was made of, or that file itself. */
export function sourcePath(path) {
  const inside = relative(target, path)
  return inside.startsWith('..') ? path : join(root, inside.replace(/\.js$/, ''))
}

const options = { format: 'esm', target: 'node20', sourcemap: 'inline', sourcesContent: false }

/** The JavaScript of one file. esbuild is loaded where it is needed alone: that takes as long as all else. */
export async function withoutTypes(path) {
  const { transform } = await import('esbuild')
  const compiled = compiledPath(path)
  const text = readFileSync(path, 'utf8')
  const how = { ...options, loader: 'ts', sourcefile: path, define: compiled ? placeOf(path) : {} }
  const { code } = await transform(text, how)
  return compiled ? withCompiledImports(code, path) : code
}

/** A module still stands, as far as it can tell, where its source does. */
function placeOf(path) {
  const place = { url: pathToFileURL(path).href, filename: path, dirname: dirname(path) }
  return Object.fromEntries(
    Object.entries(place).map(([name, value]) => [`import.meta.${name}`, JSON.stringify(value)]),
  )
}

/** Imports as esbuild writes them: the end of a statement, one for its effects alone, or a call. */
const imports = /(^(?:(?:import|export|\}) ?.*from |import )|\bimport\()"(\.{1,2}\/[^"]+)"/gm

function withCompiledImports(code, path) {
  return code.replaceAll(imports, (_, before, specifier) => {
    const file = resolve(dirname(path), specifier)
    return `${before}${JSON.stringify(pathToFileURL(compiledPath(file) ?? file).href)}`
  })
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/** What decides, besides a file itself, what is made of it. */
const rules = modified(fileURLToPath(import.meta.url))

/** Makes the JavaScript of a file of the repository, unless it is there already; returns where it is. */
export async function compile(path) {
  const to = compiledPath(path)
  if (modified(to) > Math.max(modified(path), rules)) return to
  const code = await withoutTypes(path)
  mkdirSync(dirname(to), { recursive: true })
  // another run of the tests may read it now
  writeFileSync(`${to}.${process.pid}`, code)
  renameSync(`${to}.${process.pid}`, to)
  return to
}

/** Makes that of all files of the repository. */
export async function compileAll() {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .map((name) => join(root, folder, String(name)))
      .filter((path) => /\.m?ts$/.test(path)),
  )
  await Promise.all(files.map(compile))
}
