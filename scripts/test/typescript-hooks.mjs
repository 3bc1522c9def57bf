/** What `typescript.mjs` has Node call for each module; a thread of its own runs it. */
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compiledPath, withoutTypes } from './compile.mjs'

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/** The JavaScript of a file: what was made before, where the file is no newer. */
function javascriptOf(path) {
  const compiled = compiledPath(path)
  if (compiled !== undefined && modified(compiled) > modified(path)) return readFileSync(compiled, 'utf8')
  return withoutTypes(path)
}

export async function load(url, context, nextLoad) {
  if (!/^file:.*\.m?ts$/.test(url)) return nextLoad(url, context)
  return { format: 'module', source: await javascriptOf(fileURLToPath(url)), shortCircuit: true }
}
