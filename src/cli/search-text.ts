/** What a search says of itself in lines of text that fit 80 columns. */

import { formatNumber } from '../budget/limits-amounts.ts'
import { type LimitReports, networkText, targetNetwork } from '../search/limits.ts'
import type {
  CollapseReport,
  EpochReport,
  Judgement,
  RefusedChange,
  SpaceChangeReport,
} from '../search/report.ts'
import type { RunStart } from '../search/run.ts'
import { changeText } from '../strategies/shared/space-change.ts'
import type { SpaceReport } from '../strategies/strategy.ts'
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
  const { epoch, train, valid, distance, seconds, recorded, limits } = report
  const line = [
    `epoch ${epoch + 1}/${epochs}`,
    `train err ${percent(1 - train.accuracy)}`,
    `valid ${percent(1 - valid.accuracy)}`,
    ...indicatorTexts(report),
    `dist ${distance === null ? '-' : distance.toFixed(2)}`,
    formatDuration(seconds),
  ].join('  ')
  return [line, ...(recorded ? [recordedText(recorded)] : []), ...limitLines(limits)].join('\n')
}

/** What is watched, as far as a line has room: "skip 2", "depth 3" of the first kind of cell, and what the space itself counts else. */
function indicatorTexts({ cells, indicators }: Pick<EpochReport, 'cells' | 'indicators'>): string[] {
  const [first] = Object.values(cells)
  const own = Object.entries(indicators)
  if (first === undefined) return own.map(([name, value]) => `${name} ${value}`)
  // the same count by its published name
  const others = own.filter(([name]) => name !== 'skip_connect')
  return [`skip ${first.skips}`, `depth ${first.depth}`, ...others.map(([name, value]) => `${name} ${value}`)]
}

/** "  3.1 M of 3.3 M parameters (3.6 M without limits, lambda 0.12)" for each limit. */
function limitLines(limits: LimitReports = {}): string[] {
  return Object.entries(limits).map(([quantity, { unit, limit, cost, unlimited, lambda }]) => {
    const steered =
      unlimited === undefined || lambda === undefined
        ? ''
        : ` (${formatNumber(unlimited, unit)} without limits, lambda ${Number(lambda.toPrecision(3))})`
    const over = cost > limit ? ': nothing available keeps to the limits' : ''
    return `  ${formatNumber(cost, unit)} of ${formatNumber(limit, unit)} ${quantity}${steered}${over}`
  })
}

/** "  recorded: cifar10 93.21 %, cifar100 70.10 %, …, rank 120 of 15625 by cifar10.test.200, better than 99.2 %", in 80 columns. */
export function recordedText({ accuracies, by, rank, of, percentile, testError, regret }: Judgement): string {
  const parts = Object.entries(accuracies).flatMap(([dataset, { test }]) =>
    test === undefined ? [] : [`${dataset} ${test.toFixed(2)} %`],
  )
  if (testError !== undefined && regret !== undefined)
    parts.push(`test error ${testError.toFixed(2)} %`, `regret ${regret.toFixed(2)}`)
  const place = `rank ${rank} of ${of} by ${by}`
  return wrapped('  recorded:', [...parts, place, `better than ${percentile.toFixed(1)} %`]).join('\n')
}

/** How the space changed, and when: with an epoch, or by hand. */
export function spaceText({ epoch, globalStep, change, groups }: SpaceChangeReport): string {
  const head =
    change === undefined
      ? `space from epoch ${epoch + 1} on:`
      : `space from step ${globalStep + 1} on, by hand: ${changeText(change)}`
  return [head, ...groupLines(groups)].join('\n')
}

/** A cell that has collapsed, and what can be done. */
export function collapseText({ kind, operations, skips, depth, epochs }: CollapseReport): string {
  const what =
    depth === 0
      ? 'no operation with weights lies on a way through it'
      : `${skips} of ${counted(operations, 'operation')} are skip connections`
  return [
    `warning: the cell '${kind}' has collapsed, ${epochs} epochs in a row:`,
    `  ${what};`,
    '  take the architecture of an epoch before (metrics.jsonl), or search again with',
    '  fewer epochs, a larger archOptimizer.weightDecay, or by another --strategy',
  ].join('\n')
}

/** A change by hand that was not made. */
export function refusedText({ epoch, globalStep, reason }: RefusedChange): string {
  return `not changed by hand after step ${globalStep} (epoch ${epoch + 1}): ${reason}`
}

/** A line for each group of decisions: "  normal: 109 operations left, -2 none, -1 max_pool_3x3", or more. */
export function groupLines(groups: SpaceReport): string[] {
  return Object.entries(groups).flatMap(([name, { available, deleted, added }]) => {
    const signed = (sign: string, edges: Readonly<Record<string, number>>) =>
      Object.entries(edges).map(([name, count]) => `${sign}${count} ${name}`)
    const changes = [...signed('-', deleted), ...signed('+', added)]
    const left = `${counted(available, 'operation')} left`
    return wrapped(`  ${name}:`, [left, ...(changes.length > 0 ? changes : ['unchanged'])])
  })
}

/** Parts with commas behind a head, on as many lines of 80 columns as they take. */
function wrapped(head: string, parts: readonly string[]): string[] {
  const lines = [head]
  for (const [index, part] of parts.entries()) {
    const text = index < parts.length - 1 ? `${part},` : part
    const longer = `${lines.at(-1)} ${text}`
    if (longer.length > 80) lines.push(`    ${text}`)
    else lines.splice(-1, 1, longer)
  }
  return lines
}

/** Where a run goes on; nothing of one that begins. */
export function resumedLine(done: number, resumed: boolean): string[] {
  if (!resumed) return []
  const from = done > 0 ? `after step ${done}` : 'from the beginning, as there is no checkpoint yet'
  return [`resuming ${from}`]
}

/** Which networks are limited. */
function limitedTo(config: RunStart['config'], { space }: RunStart['parts']): string[] {
  const { parameters, multiplyAdds, latency } = config.limits
  const texts = [
    ...(parameters ? [`${formatNumber(parameters, '')} parameters`] : []),
    ...(multiplyAdds ? [`${formatNumber(multiplyAdds, '')} multiply-adds`] : []),
    ...(latency ? [`${formatNumber(latency, 'ms')} latency`] : []),
  ]
  if (texts.length === 0) return []
  return [`at most ${texts.join(' and ')}`, `in networks of ${networkText(targetNetwork(config, space))}`]
}

/** How batches are computed, where not at once. */
function inParts({ data: { batch, microBatch } }: RunStart['config']): string[] {
  if (microBatch === 0 || microBatch >= batch) return []
  return [`batches of ${batch} by at most ${microBatch} images, which batch norms see alone`]
}

/** Of images of a folder: "10 classes, 120 images for the weights, 120 for the architecture, 64 px, in memory". */
function ownImagesLine({ config, images: { classes, counts, where } }: RunStart): string[] {
  if (config.dataset !== 'folder') return []
  const halves = `${counted(counts.train, 'image')} for the weights, ${counts.valid} for the architecture`
  return [`${counted(classes.length, 'class', 'classes')}, ${halves}, ${config.data.imageSize} px, ${where}`]
}

/** What is searched, where it is written, and how to read what follows. */
export function describeStart(about: RunStart, resumed: boolean): string[] {
  const { run, config, parts, device, images, done, notes, warnings } = about
  const { network } = config
  const { train, valid } = images.counts
  const strategy = parts.strategy.describe ? [parts.strategy.describe(config)] : []
  const where = `${device} with ${counted(config.threads, 'thread')}`
  return [
    ...resumedLine(done, resumed),
    `searching: ${parts.space.name} by ${parts.strategy.name} on ${counted(train + valid, 'image')} of ${config.dataset}, ${where}`,
    ...ownImagesLine(about),
    [
      `${counted(network.cells, 'cell')} of ${counted(network.channels, 'channel')}`,
      ...(network.stem === 'cifar' ? [] : [`stem ${network.stem}`]),
      ...(network.partialChannels === 1 ? [] : [`candidates see 1/${network.partialChannels} of them`]),
      ...strategy,
      `seed ${config.seed}`,
    ].join(', '),
    ...inParts(config),
    ...limitedTo(config, parts),
    ...warnings.map((warning) => `warning: ${warning}`),
    ...notes.map((note) => `note: ${note}; numbers may differ in rounding from an uninterrupted run`),
    `run folder: ${run.path}`,
    'Ctrl-C saves and stops; err: top-1 error; skip: skip connections of a cell;',
    'depth: operations with weights one after the other in it;',
    "dist: distance of the architecture to the last epoch's, 0 (the same) to 1",
  ]
}
