/**
 * Efficiency of several processes: the search step of N processes of a thread each against N threads in one process, of the same
 * batch, taking turns. `node --import tsx bench/parallel.ts DATA [N] [rounds] [steps]`; DATA is a folder with CIFAR-10.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RunFolder } from '../src/runs/folder.ts'
import { median } from './measure.ts'

const program = new URL('../bin/ddsas.mjs', import.meta.url).pathname
const [data = 'data', ...counts] = process.argv.slice(2)
const [processes = 2, rounds = 3, steps = 24] = counts.map(Number)

const batch = 64
/** The first steps draw buffers and wait for the others to start. */
const warmUp = 4

/** Seconds of the steps of a search, L = 28, C = 16, 8 cells. */
function secondsOfSteps(nproc: number, folder: string): number[] {
  const settings = [`data.images=${2 * batch * steps}`, `data.batch=${batch}`, 'evaluation.images=64']
  const options = ['--data', data, '--out', folder, '--epochs', '1', '--seed', '1', '--device', 'cpu']
  const amounts = ['--threads', String(processes), '--nproc', String(nproc)]
  const args = ['search', 'cifar10', ...options, ...amounts, ...settings.flatMap((one) => ['--set', one])]
  execFileSync(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  const lines = RunFolder.open(folder).readMetrics()
  const seconds = lines.flatMap(({ kind, seconds }) => (kind === 'step' ? [Number(seconds)] : []))
  return seconds.slice(warmUp)
}

const place = mkdtempSync(join(tmpdir(), 'ddsas-parallel-'))
const found = new Map<number, number[]>([
  [1, []],
  [processes, []],
])
try {
  for (let round = 0; round < rounds; round++)
    for (const [nproc, all] of found) all.push(...secondsOfSteps(nproc, join(place, `${round}-${nproc}`)))
} finally {
  rmSync(place, { recursive: true, force: true })
}
const [alone, together] = [...found.values()].map(median)
console.log(
  `${processes} threads in a process: ${alone.toFixed(3)} s a step, median of ${rounds} x ${steps - warmUp}`,
)
console.log(
  `${processes} processes of a thread: ${together.toFixed(3)} s a step; efficiency ${(alone / together).toFixed(3)}`,
)
