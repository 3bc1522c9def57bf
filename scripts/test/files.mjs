/** Which test files there are, and which of them run with the whole machine to themselves. */
import { readdirSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

/** Files that run one after the other, with all threads, and why. All others compute on one thread, side by side. */
export const alone = [
  ['test/unit/data/folder-stream.test.ts', 'wants decoding to go on while a thread computes'],
  ['test/unit/torch/kernels-threads.test.ts', 'compares numbers of threads'],
]

/** The longest of those that share the machine: begun first, so that in the end nothing waits for one of them. */
export const long = [
  'test/unit/search/pairs.test.ts',
  'test/parity/rounding.test.ts',
  'test/unit/torch/kernels.test.ts',
]

/** Every *.test.ts among the paths and below them, sorted for the same order everywhere. */
export function collectTests(paths) {
  const files = paths.flatMap((path) => {
    if (!statSync(path).isDirectory()) return [path]
    const names = readdirSync(path, { recursive: true }).map(String)
    return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(path, name))
  })
  return [...new Set(files)].sort()
}

/** Splits test files into those that may share the machine, the longest first, and those that may not. */
export function divide(root, files) {
  const pathOf = (file) => relative(root, resolve(file))
  const runsAlone = (file) => alone.some(([name]) => pathOf(file) === name)
  const isLong = (file) => long.includes(pathOf(file))
  const together = files.filter((file) => !runsAlone(file))
  return {
    together: [...together.filter(isLong), ...together.filter((file) => !isLong(file))],
    apart: files.filter(runsAlone),
  }
}
