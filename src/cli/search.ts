/** `ddsas search`: searches a cell on CIFAR images or on photographs in a folder, or goes on with a search. */
import { Command } from 'commander'
import { type BenchmarkTable, benchmarkOf, judgeOf, openTable } from '../benchmarks/index.ts'
import { hasCifar } from '../data/cifar.ts'
import { folderSplits, hasSplit } from '../data/folder.ts'
import { blockKinds } from '../export/block-view.ts'
import { drawBlock } from '../export/draw.ts'
import type { Program } from '../nn/index.ts'
import type { RunFolder } from '../runs/folder.ts'
import { searchPresets } from '../search/presets.ts'
import type { Benchmark, SearchRequest } from '../search/request.ts'
import { planSearch, type RunObserver, runSearch } from '../search/run.ts'
import { shownNetwork } from '../spaces/network-shape.ts'
import { addBudgetOptions, type BudgetOptions } from './budget-options.ts'
import { memoryText, timeText } from './budget-text.ts'
import { fetchWithProgress } from './data.ts'
import { isFirst, withRanks } from './launch.ts'
import {
  addLimitOptions,
  addPartOptions,
  addRunOptions,
  interruptible,
  type LimitOptions,
  type PartOptions,
  type RunOptions,
  requestOf,
  withLimitSettings,
} from './options.ts'
import { searchDisplay } from './search-display.ts'
import { collapseText, refusedText, spaceText } from './search-text.ts'
import { suggestedArgument } from './suggestions.ts'

const presets = Object.keys(searchPresets)

export function searchCommand(): Command {
  const command = new Command('search')
    .description('search a cell: its genotype, drawings and metrics go to a run folder')
    .addArgument(suggestedArgument('[preset]', `what to search: ${presets.join(', ')}`, presets))
  addPartOptions(command)
  addLimitOptions(command)
  addBudgetOptions(command)
  command.option('--table <file>', "a benchmark's table: what it has of each epoch's architecture is told")
  return addRunOptions(command, 'runs/<preset>').action(searchAction)
}

type SearchOptions = RunOptions & PartOptions & LimitOptions & BudgetOptions & { readonly table?: string }

async function searchAction(preset: string | undefined, given: SearchOptions): Promise<void> {
  const { table, ...options } = withLimitSettings(given)
  const { resume, json = false, space: from, strategy, memory, time } = options
  const benchmark = table === undefined ? undefined : judging(openTable(table))
  const request: SearchRequest = {
    ...requestOf(options),
    preset,
    space: from,
    strategy,
    memory,
    time,
    benchmark,
  }
  if (preset === 'demo' && resume === undefined && isFirst()) await fetchUnlessThere(request)
  const display = searchDisplay(json, resume !== undefined)
  const observer: Partial<RunObserver> = {
    decoding: (done, total) => display.doing('decoding', done, total),
    skip: (file, count) => display.skip(file, count),
    start: (about) => display.start(about),
    step: (step, steps) => display.step(step, steps),
    work: (what, done, total) => display.doing(what, done, total),
    epoch: (epoch) => display.epoch(epoch),
    space: (change) => display.event('space', change, spaceText(change)),
    refused: (change) => display.event('refused', change, refusedText(change)),
    collapse: (report) => display.event('collapse', report, collapseText(report)),
    memory: (report) => display.event('memory', report, memoryText(report)),
    time: (plan) => display.event('time', plan, timeText(plan)),
  }
  try {
    const result = await interruptible((signal) =>
      withRanks(options, signal, (ranks) =>
        runSearch({ ...request, signal, ranks }, ranks.rank === 0 ? observer : {}),
      ),
    )
    if (result === undefined) return
    const { run, space, architecture } = result
    const drawings = await drawBlocks(run, shownNetwork(space, architecture))
    display.result({ run: run.path, architecture, text: space.format(architecture), drawings })
  } finally {
    display.stop()
  }
}

function judging(table: BenchmarkTable): Benchmark {
  return { space: benchmarkOf(table).spaces, recorded: judgeOf(table) }
}

/**
 * The demo gets its own data, into the default folder alone: whoever names another one means what is there. First it is
 * sure that the rest of the request can be used.
 */
async function fetchUnlessThere(request: SearchRequest): Promise<void> {
  const { config } = planSearch(request)
  // photographs are not searched around: the search itself says that it cannot take them
  const photographs = folderSplits.some((split) => hasSplit('data', split))
  const { dataset } = config
  if (dataset === 'folder') return
  if (request.data === undefined && !photographs && !hasCifar('data', dataset))
    await fetchWithProgress(dataset, 'data')
}

/** Draws a block of each kind that a network has. */
async function drawBlocks(run: RunFolder, program: Program): Promise<string[]> {
  const paths: string[] = []
  for (const kind of blockKinds(program)) {
    const { svg, png } = await drawBlock(program, kind)
    paths.push(...run.writeCell(kind, svg, png))
  }
  return paths
}
