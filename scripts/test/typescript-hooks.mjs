/** What `typescript.mjs` has Node call for each module; a thread of its own runs it. */
import { fileURLToPath, pathToFileURL } from 'node:url'
import { compile, compiledPath, withoutTypes } from './compile.mjs'

const isTypescript = (url) => /^file:.*\.m?ts$/.test(url)

/** A file of this repository is what was made of it. */
export async function resolve(specifier, context, nextResolve) {
  const resolved = await nextResolve(specifier, context)
  if (!isTypescript(resolved.url) || !compiledPath(fileURLToPath(resolved.url))) return resolved
  const compiled = await compile(fileURLToPath(resolved.url))
  return { ...resolved, format: 'module', url: pathToFileURL(compiled).href }
}

export async function load(url, context, nextLoad) {
  if (!isTypescript(url)) return nextLoad(url, context)
  return { format: 'module', source: await withoutTypes(fileURLToPath(url)), shortCircuit: true }
}
