/** Results of all benchmarks on one machine as a file, their charts, and what a text says of them. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { DdsasError } from '../src/errors.ts'
import { drawChart } from '../src/export/chart.ts'
import { makeFolder, readJson, writeDrawing, writeFileAtomic } from '../src/runs/files.ts'
import type { Benchmark, Shown } from './benchmark.ts'
import { codeText, machineName, machineSchema, machineText } from './machine.ts'
import { tableLines } from './table.ts'

type Benchmarks = Readonly<Record<string, Benchmark>>

const resultsSchema = z.object({
  machine: machineSchema,
  /** By the names of the benchmarks. */
  reports: z.record(z.string(), z.unknown()),
})

export type Results = z.infer<typeof resultsSchema>

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
    `${machineText(machine)}, ${machine.memoryGiB} GiB of memory, Node ${machine.node}, libtorch's operators ${machine.cpuCapability}; ` +
      `${codeText(machine)}.`,
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
