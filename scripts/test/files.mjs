/** Which test files there are, and which of them run with the whole machine to themselves. */
import { readdirSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

/**
 * Files, or folders that end with a slash, that run one after the other, with all threads, and why. All others compute on
 * one thread and run side by side.
 */
export const alone = [
  ['test/unit/bench/', 'runs measurements, which others would disturb'],
  ['test/unit/data/folder-stream.test.ts', 'wants decoding to go on while a thread computes'],
  ['test/unit/torch/kernels-threads.test.ts', 'compares numbers of threads'],
  ['test/unit/train/plan.test.ts', 'wants times and the memory that is free to hold still'],
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

/** Splits test files into those that may share the machine and those that may not. */
export function divide(root, files) {
  const runsAlone = (file) => {
    const path = relative(root, resolve(file))
    return alone.some(([name]) => (name.endsWith('/') ? path.startsWith(name) : path === name))
  }
  return { together: files.filter((file) => !runsAlone(file)), apart: files.filter(runsAlone) }
}
