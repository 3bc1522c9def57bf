/** Results of all benchmarks on one machine as a file, their charts, and the block of a text that is made of them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { DdsasError } from '../src/errors.ts'
import { drawChart } from '../src/export/chart.ts'
import { makeFolder, readJson, writeDrawing, writeFileAtomic } from '../src/runs/files.ts'
import type { Benchmark, Shown } from './benchmark.ts'
import { tableLines } from './table.ts'

type Benchmarks = Readonly<Record<string, Benchmark>>

const machineSchema = z.record(z.string(), z.union([z.string(), z.number()]))

const resultsSchema = z.object({
  machine: machineSchema,
  /** By the names of the benchmarks. */
  reports: z.record(z.string(), z.unknown()),
})

export type Machine = z.infer<typeof machineSchema>
export type Results = z.infer<typeof resultsSchema>

/** cpu-2-1.13.1: a machine's name, the same at every run. */
export function machineName({ cores, libtorch }: Machine): string {
  return `cpu-${cores}-${libtorch}`
}

/** The lines of a report as Markdown. */
export function shownLines({ tables, notes }: Shown): string[] {
  return [...tables, ...notes].flatMap((part) => [
    ...(typeof part === 'string' ? [part] : tableLines(part)),
    '',
  ])
}

/** Draws a report's charts as `<prefix><chart>.svg` and `.png`; returns the files. */
export async function writeCharts(folder: string, prefix: string, { charts }: Shown): Promise<string[]> {
  const written: string[] = []
  for (const [name, spec] of Object.entries(charts))
    written.push(...writeDrawing(folder, `${prefix}${name}`, await drawChart(spec)))
  return written
}

/** Writes `<machine>.json`, two spaces to the level, so that a change of a figure is a changed line. */
export function writeResults(folder: string, results: Results): string {
  makeFolder(folder)
  const path = join(folder, `${machineName(results.machine)}.json`)
  writeFileAtomic(path, `${JSON.stringify(results, undefined, 2)}\n`)
  return path
}

/** The results of all machines in a folder, by name. */
export function readResults(folder: string): Map<string, Results> {
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : []
  return new Map(
    files.sort().map((file) => {
      const parsed = resultsSchema.safeParse(readJson(join(folder, file)))
      if (parsed.success) return [file.slice(0, -'.json'.length), parsed.data]
      throw new DdsasError('data', `${join(folder, file)} holds no results; measure them again`)
    }),
  )
}

/** What a README says of the results: machines, tables and charts, the latter below `folder` as seen from there. */
export function resultsLines(
  all: ReadonlyMap<string, Results>,
  benchmarks: Benchmarks,
  folder: string,
): string[] {
  if (all.size === 0) return ['No results yet: `npm run bench -- all` on a quiet machine writes them.', '']
  return [...all].flatMap(([name, { machine, reports }]) => [
    `### ${name}`,
    '',
    `${Object.entries(machine)
      .map(([key, value]) => `${key} ${value}`)
      .join(', ')}.`,
    '',
    ...Object.keys(benchmarks)
      .filter((benchmark) => benchmark in reports)
      .flatMap((benchmark) => {
        const shown = benchmarks[benchmark].show(reports[benchmark])
        const images = Object.keys(shown.charts).flatMap((chart) => [
          `![${chart}](${folder}/${name}-${chart}.svg)`,
          '',
        ])
        return [`#### ${benchmark}`, '', ...shownLines(shown), ...images]
      }),
  ])
}

const begin = '<!-- results: written by npm run bench -- all -->'
const end = '<!-- end of results -->'

/** The text with what stands between its two marks replaced. Throws DdsasError 'input' where it has none. */
export function replaceBlock(text: string, lines: readonly string[]): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from)
    throw new DdsasError('input', `bench/README.md has no ${begin} before ${end}; put them back`)
  return `${text.slice(0, from + begin.length)}\n\n${lines.join('\n')}\n${text.slice(to)}`
}

/** Writes the block of the README anew from the results below its folder. */
export function updateReadme(readme: string, folder: string, benchmarks: Benchmarks): void {
  const lines = resultsLines(readResults(folder), benchmarks, 'results')
  writeFileAtomic(readme, replaceBlock(readFileSync(readme, 'utf8'), lines))
}
