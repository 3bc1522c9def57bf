/** `ddsas plan`: what a search will need in memory and time for each L, and which L fit. */
import { Command, InvalidArgumentError } from 'commander'
import { formatNumber } from '../budget/limits-amounts.ts'
import { formatSize } from '../budget/memory-size.ts'
import { networkText } from '../search/limits.ts'
import type { FilledSubspaces } from '../search/memory-fill.ts'
import { type MeasureObserver, type Plan, type PlannedLength, planLengths } from '../search/plan.ts'
import { searchPresets } from '../search/presets.ts'
import { planWithin } from '../search/time.ts'
import { counted } from '../words.ts'
import { addBudgetOptions, type BudgetOptions } from './budget-options.ts'
import {
  addLimitOptions,
  addPartOptions,
  configOption,
  count,
  deviceOption,
  type LimitOptions,
  type PartOptions,
  settingOption,
  threadsOption,
  withLimitSettings,
} from './options.ts'
import { formatDuration } from './search-text.ts'
import { suggestedArgument } from './suggestions.ts'

interface PlanOptions extends PartOptions, LimitOptions, BudgetOptions {
  readonly config?: string
  readonly set: readonly string[]
  readonly lengths?: readonly number[]
  readonly epochs?: number
  readonly device?: string
  readonly threads?: number
  readonly data?: string
  readonly json?: boolean
}

const presets = Object.keys(searchPresets)

export function planCommand(): Command {
  const command = new Command('plan')
    .description('measure a few steps on this machine: memory and time of a search for each L, and which fit')
    .addArgument(
      suggestedArgument('[preset]', `what to search: ${presets.join(', ')}`, presets).default('cifar10'),
    )
  addPartOptions(command)
  addLimitOptions(command)
  addBudgetOptions(command)
  return command
    .addOption(configOption())
    .addOption(settingOption())
    .option('--lengths <L,L,…>', 'values of L (default: a few over the whole range)', lengthList)
    .option('--epochs <n>', 'how many epochs', count)
    .addOption(deviceOption())
    .addOption(threadsOption())
    .option('--data <dir>', 'image folder that is searched on, to count its images')
    .option('--json', 'print the plan as JSON instead of a table')
    .action(planAction)
}

function lengthList(text: string): number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError('whole numbers with commas are wanted')
  return text.split(',').map(Number)
}

function planAction(preset: string, options: PlanOptions): void {
  const { set: settings, lengths, json = false, time, ...asked } = withLimitSettings(options)
  const progress = json ? silent : progressOf(process.stdout)
  const request = { preset, settings, ...asked, ...(lengths ? { lengths } : {}) }
  try {
    const measured = planLengths(request, progress.show)
    const plan = time === undefined ? measured : planWithin(measured, time)
    progress.clear()
    console.log(json ? JSON.stringify(plan) : planText(preset, plan))
  } catch (error) {
    progress.clear()
    throw error
  }
}

interface PlanProgress {
  readonly show: MeasureObserver
  clear(): void
}

const silent: PlanProgress = { show: () => {}, clear: () => {} }

/** One line that moves at a terminal; a line for each L elsewhere. */
function progressOf(stream: NodeJS.WriteStream): PlanProgress {
  const terminal = stream.isTTY === true && process.env.TERM !== 'dumb'
  let last: number | null | undefined
  return {
    show: (subspace, done, total) => {
      const text = subspace === null ? 'measuring' : `measuring in subspaces of L = ${subspace}`
      if (terminal) stream.write(`\r${text}: ${Math.floor((100 * done) / total)} %\x1b[K`)
      else if (subspace !== last) stream.write(`${text}\n`)
      last = subspace
    },
    clear: () => {
      if (terminal && last !== undefined) stream.write('\r\x1b[K')
    },
  }
}

function planText(
  preset: string,
  { config, device, budget, besides, measured, stepsPerEpoch, stages, filled, lengths, networks }: Plan,
): string {
  const { network, data, epochs, threads } = config
  const rows = [['L', 'memory', 's/step', 'search', ''], ...lengths.map(rowOf)]
  const widths = [4, 11, 8, 9, 0]
  const table = rows.map((row) => row.map((cell, k) => (k < 4 ? cell.padStart(widths[k]) : `  ${cell}`)))
  return [
    ...(filled ? [filledText(filled, config.memory.limit)] : []),
    `${preset}: ${network.cells} cells of ${network.channels} channels, batches of ${data.batch}`,
    `${epochs} epochs of ${stepsPerEpoch} steps, ${device} with ${threads === 1 ? '1 thread' : `${threads} threads`}`,
    `${measured.includes(null) ? 'measured' : `measured at L = ${measured.join(', ')}`}; ${budget ? `${formatSize(budget.bytes)} ${budget.where}` : 'free memory is not known'}`,
    '',
    ...table.map((cells) => cells.join('').trimEnd()),
    ...stageLines(stages),
    '',
    'memory: of tensors at the peak, in the largest likely subspace: what a search',
    'asks for before it starts, and what memory.limit is held against',
    ...(besides > 0 ? [`the process takes about ${formatSize(besides)} besides`] : []),
    ...rangeLines(networks),
  ].join('\n')
}

/** What each of several stages takes: the memory of a search is that of the largest. */
function stageLines(stages: Plan['stages']): string[] {
  if (stages.length === 0) return []
  const lines = stages.map(({ from, to, size, batch, memory, secondsPerStep }) =>
    [
      `  ${from + 1 === to ? to : `${from + 1} to ${to}`}: ${size.cells} cells`,
      ...(size.partialChannels === 1 ? [] : [`1/${size.partialChannels} of the channels`]),
      `batches of ${batch}`,
      formatSize(memory),
      `${secondsPerStep.toFixed(2)} s/step`,
    ].join(', '),
  )
  return ['', 'epochs', ...lines]
}

/** What networks of the space cost: what limits can be set to. */
function rangeLines({ size, costs }: Plan['networks']): string[] {
  if (costs.length === 0) return []
  const ranges = costs.map(
    ({ quantity, unit, least, most }) =>
      `  ${formatNumber(least, unit)} to ${formatNumber(most, unit)} ${quantity}`,
  )
  return ['', `networks of ${networkText(size)}:`, ...ranges]
}

/** What the memory that was asked for buys. */
function filledText({ operations, predicted }: FilledSubspaces, limit: number): string {
  return `${formatSize(limit)} for tensors: subspaces of ${operations.toFixed(1)} operations, ${formatSize(predicted)} at the peak`
}

function rowOf({ subspace, memory, fits, secondsPerStep, seconds, epochs }: PlannedLength): string[] {
  const step = secondsPerStep.toFixed(secondsPerStep < 10 ? 3 : 1)
  const within = epochs === undefined ? [] : [counted(epochs, 'epoch')]
  const verdict = [...(fits === null ? [] : [fits ? 'fits' : 'does not fit']), ...within].join(', ')
  return [String(subspace ?? '-'), formatSize(memory), step, formatDuration(seconds), verdict]
}
