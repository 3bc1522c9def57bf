/** Which test files there are, and which of them run with the whole machine to themselves. */
import { readdirSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

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

/** Files that share no process with others, and why. */
export const apart = [
  ['test/unit/search/library-arguments.test.ts', 'works in a folder of its own, which it removes'],
]

/** Where files share a process: most of the time of a small one is the start of that. */
const sharing = ['test/unit/']

/** Few enough that no process begun last keeps the whole waiting. */
const filesPerProcess = 8

/** Every *.test.ts among the paths and below them, sorted for the same order everywhere. */
export function collectTests(paths) {
  const files = paths.flatMap((path) => {
    if (!statSync(path).isDirectory()) return [path]
    const names = readdirSync(path, { recursive: true }).map(String)
    return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(path, name))
  })
  return [...new Set(files)].sort()
}

/**
 * Splits test files into those that may share the machine, the longest first, and those that run alone on it; each entry is what
 * one process runs.
 */
export function divide(root, files) {
  const pathOf = (file) => relative(root, resolve(file))
  const listed = (list) => (file) => list.some(([name]) => pathOf(file) === name)
  const [runsAlone, isApart] = [listed(alone), listed(apart)]
  const isLong = (file) => long.includes(pathOf(file))
  const shares = (file) => sharing.some((folder) => pathOf(file).startsWith(folder)) && !isApart(file)
  const beside = files.filter((file) => !runsAlone(file))
  const [first, others] = [beside.filter(isLong), beside.filter((file) => !isLong(file))]
  const single = (file) => [file]
  return {
    together: [
      ...first.map(single),
      ...others.filter((file) => !shares(file)).map(single),
      ...byFolder(others.filter(shares)),
    ],
    alone: files.filter(runsAlone).map(single),
  }
}

/** Files of one folder, a few at a time. */
function byFolder(files) {
  const lists = []
  for (const file of files) {
    const last = lists.at(-1)
    if (last && dirname(last[0]) === dirname(file) && last.length < filesPerProcess) last.push(file)
    else lists.push([file])
  }
  return lists
}
