/** What a search says of itself in lines of text that fit 80 columns. */

import type { SearchConfig } from '../search/config.ts'
import type { EpochReport, SpaceChangeReport } from '../search/report.ts'
import type { RunStart } from '../search/run.ts'
import { cellTypes } from '../spaces/darts/genotype.ts'
import { counted } from '../words.ts'

/** Where a search stands between two steps. */
export interface Standing {
  /** From 0. */
  readonly epoch: number
  readonly epochs: number
  /** Steps done in this epoch, and how many it has. */
  readonly step: number
  readonly steps: number
  /** Means over this epoch's weight steps; accuracy 0 … 1. */
  readonly loss: number
  readonly accuracy: number
  readonly secondsPerStep: number
  /** Bytes of the whole process. */
  readonly memory: number
  readonly secondsLeft: number
}

/** "3 s", "12 min", "9.2 h", "2.5 d". */
export function formatDuration(seconds: number): string {
  if (seconds < 99.5) return `${Math.round(seconds)} s`
  const minutes = seconds / 60
  if (minutes < 99.5) return `${Math.round(minutes)} min`
  const hours = minutes / 60
  return hours < 47.95 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} d`
}

/** "12.3 %". */
export const percent = (part: number) => `${(100 * part).toFixed(1)} %`

function describeStanding(at: Standing): string {
  const { step, steps, loss, accuracy, secondsPerStep, memory, secondsLeft } = at
  return [
    `loss ${loss.toFixed(3)}`,
    `err ${percent(1 - accuracy)}`,
    `${secondsPerStep.toFixed(secondsPerStep < 10 ? 2 : 1)} s/step`,
    `${(memory / 2 ** 30).toFixed(1)} GiB`,
    // Nothing moves while accuracy is measured: the line must not look stuck.
    step < steps ? `${formatDuration(secondsLeft)} left` : 'evaluating',
  ].join('  ')
}

/** A step in a file or a pipe. */
export function stepLine(at: Standing): string {
  return `epoch ${at.epoch + 1}/${at.epochs}  step ${at.step}/${at.steps}  ${describeStanding(at)}`
}

/** What a terminal writes behind the line when Ctrl-C is pressed; were there no room, it would go to the next line. */
const echo = '^C'.length

/** A step at a terminal: as `stepLine` with a bar, and always shorter than `columns`. */
export function barLine(at: Standing, columns: number): string {
  const longest = Math.max(0, columns - 1 - echo)
  const head = `epoch ${at.epoch + 1}/${at.epochs} `
  const tail = `  ${describeStanding(at)}`
  const count = ` ${at.step}/${at.steps}`
  const room = longest - head.length - tail.length
  const counted = room - count.length >= 10
  const width = Math.max(0, Math.min(20, counted ? room - count.length : room))
  const filled = Math.floor((width * at.step) / at.steps)
  const bar = '█'.repeat(filled) + '░'.repeat(width - filled)
  return `${head}${bar}${counted ? count : ''}${tail}`.slice(0, longest)
}

/** What an epoch gave; `describeStart` says what the columns mean. The learning rate is in metrics.jsonl: 80 columns have no room for it. */
export function epochLine(report: EpochReport, epochs: number): string {
  const { epoch, train, valid, skipConnections, cosineDistance, seconds } = report
  return [
    `epoch ${epoch + 1}/${epochs}`,
    `train err ${percent(1 - train.accuracy)}`,
    `valid err ${percent(1 - valid.accuracy)}`,
    `skips ${skipConnections}`,
    `moved ${cosineDistance === null ? '-' : cosineDistance.toFixed(2)}`,
    formatDuration(seconds),
  ].join('  ')
}

/** How the space changed: "space from epoch 3 on: normal -2 none -1 max_pool_3x3, 109 left; reduce …". */
export function spaceLine(report: SpaceChangeReport): string {
  const cells = cellTypes.map((cell) => {
    const { available, deleted, added } = report[cell]
    const signed = (sign: string, edges: Readonly<Record<string, number>>) =>
      Object.entries(edges).map(([name, count]) => `${sign}${count} ${name}`)
    const changes = [...signed('-', deleted), ...signed('+', added)].join(' ') || 'unchanged'
    return `${cell} ${changes}, ${available} operations left`
  })
  return `space from epoch ${report.epoch + 1} on: ${cells.join('; ')}`
}

/** Where a run goes on; nothing of one that begins. */
export function resumedLine(done: number, resumed: boolean): string[] {
  if (!resumed) return []
  const from = done > 0 ? `after step ${done}` : 'from the beginning, as there is no checkpoint yet'
  return [`resuming ${from}`]
}

/** What is searched, where it is written, and how to read what follows. */
export function describeStart(
  { run, config, device, dataset, done, notes, warnings }: RunStart,
  resumed: boolean,
): string[] {
  const { network, data } = config
  const images = data.images === 0 ? dataset.count : data.images
  const where = `${device} with ${counted(config.threads, 'thread')}`
  return [
    ...resumedLine(done, resumed),
    `searching: ${config.strategy} on ${counted(images, 'image')} of ${config.dataset}, ${where}`,
    `${counted(network.cells, 'cell')} of ${counted(network.channels, 'channel')}, ${describeStrategy(config)}, seed ${config.seed}`,
    ...warnings.map((warning) => `warning: ${warning}`),
    ...notes.map((note) => `note: ${note}; numbers may differ in rounding from an uninterrupted run`),
    `run folder: ${run.path}`,
    'Ctrl-C saves and stops; err: top-1 error; skips: skip connections of the normal cell;',
    "moved: cosine distance to the last epoch's cells, 0 (the same) to 1",
  ]
}

function describeStrategy({ ddsas }: SearchConfig): string {
  return `L = ${ddsas.subspace}, M = ${ddsas.window}, variant ${ddsas.variant}`
}
