/** What `ddsas latency` says. */
import type { HeldOutErrors, LatencyTable } from '../budget/latency-table.ts'
import type { LatencyCheck } from '../latency/check.ts'
import { counted } from '../words.ts'

const percent = (part: number) => `${(100 * part).toFixed(1)} %`
const milliseconds = (ms: number) => `${ms.toPrecision(3)} ms`

function errorsText({ networks, mean, median, max }: HeldOutErrors): string {
  return `${counted(networks, 'network')}: ${percent(mean)} on average, ${percent(median)} at the median, ${percent(max)} at most`
}

function aboutText({ space, network, batch, threads, runtime, machine }: LatencyTable): string {
  const { kind, channels, cells, classes, imageSide } = network
  return [
    `${space}: ${kind} networks of ${counted(cells, 'cell')}, C = ${channels}, ${counted(classes, 'class', 'classes')}, ${imageSide} px`,
    `${counted(batch, 'image')} a run, ${counted(threads, 'thread')}, ${runtime.name} ${runtime.version}`,
    `${machine.cpu}, ${counted(machine.cores, 'core')}, ${machine.platform}`,
  ].join('\n')
}

/** What a measurement ended with. */
export function measuredText(file: string, table: LatencyTable): string {
  const times = table.fitted.map(({ ms }) => ms)
  return [
    aboutText(table),
    `${counted(times.length, 'network')} fitted, of ${milliseconds(Math.min(...times))} to ${milliseconds(Math.max(...times))}`,
    `error of the prediction on others, ${errorsText(table.errors)}`,
    `written: ${file}`,
  ].join('\n')
}

/** A table: the mean of each candidate over its rows, and the range. */
export function tableText(file: string, table: LatencyTable): string {
  const { base, costs, empty = [] } = table.table
  const groups = [...costs].flatMap(([group, rows]) => {
    const candidates = table.candidates.get(group) ?? []
    const width = Math.max(...candidates.map(({ length }) => length))
    const nodes = empty.filter((node) => node.group === group)
    const empties = nodes.map(
      ({ rows, cost }) =>
        `a node of rows ${rows.join(', ')} that nothing leads into: ${milliseconds(cost)} more`,
    )
    const lines = candidates.map((candidate, column) => {
      const own = rows.map((row) => row[column])
      const mean = own.reduce((sum, cost) => sum + cost, 0) / own.length
      return [candidate.padEnd(width), ...[mean, Math.min(...own), Math.max(...own)].map(cell)].join('  ')
    })
    return [
      '',
      `${group.padEnd(width)}  ${['mean', 'least', 'most'].map((word) => word.padStart(9)).join('  ')}`,
      ...lines,
      ...empties,
    ]
  })
  return [
    `${file}, ${table.date}`,
    aboutText(table),
    `fitted on ${counted(table.fitted.length, 'network')}; error on others, ${errorsText(table.errors)}`,
    '',
    `every network: ${milliseconds(base)}; each pick adds, in ms over the rows of its group:`,
    ...groups,
  ].join('\n')
}

function cell(ms: number): string {
  return ms.toFixed(4).padStart(9)
}

/** The prediction for one architecture. */
export function predictText(name: string, ms: number, { errors }: LatencyTable): string {
  return `${name}: ${milliseconds(ms)}; predictions are off by ${percent(errors.mean)} on average`
}

/** Measured against predicted, and what that says of the table. */
export function checkText(
  file: string,
  { networks, errors, ratio, scaled }: LatencyCheck,
  holds: boolean,
): string {
  const rows = networks.map(
    ({ measured, predicted }) =>
      `${cell(measured)}  ${cell(predicted)}  ${percent(predicted / measured - 1).padStart(8)}`,
  )
  const verdict = holds
    ? `${file} holds on this machine`
    : `${file} does not hold on this machine: it takes ${ratio.toFixed(2)} times as long; so scaled, ${errorsText(scaled)}`
  return [
    ` measured  predicted     error`,
    ...rows,
    `error of the prediction, ${errorsText(errors)}`,
    verdict,
  ].join('\n')
}
