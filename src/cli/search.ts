/** `ddsas search`: searches a cell on CIFAR images, or goes on with a search. */
import { Command } from 'commander'
import { hasCifar } from '../data/cifar.ts'
import { folderSplits, hasSplit } from '../data/folder.ts'
import { drawCell } from '../export/draw.ts'
import type { RunFolder } from '../runs/folder.ts'
import { cellTypes, type Genotype } from '../spaces/genotype.ts'
import { searchPresets } from '../train/presets.ts'
import { planSearch, type RunObserver, runSearch, type SearchRequest } from '../train/run.ts'
import { fetchWithProgress } from './data.ts'
import { addRunOptions, inFreeFolder, interruptible, type RunOptions, settingsOf } from './options.ts'
import { searchDisplay } from './search-display.ts'
import { spaceLine } from './search-text.ts'

export function searchCommand(): Command {
  const command = new Command('search')
    .description('search a cell: its genotype, drawings and metrics go to a run folder')
    .argument('[preset]', `what to search: ${Object.keys(searchPresets).join(', ')}`)
  return addRunOptions(command).action(searchAction)
}

async function searchAction(preset: string | undefined, options: RunOptions): Promise<void> {
  const { resume } = options
  if (options.out !== undefined || preset === undefined || resume !== undefined)
    return runAndShow(preset, options, options.out)
  return inFreeFolder(preset, (out) => runAndShow(preset, options, out))
}

async function runAndShow(
  preset: string | undefined,
  options: RunOptions,
  out: string | undefined,
): Promise<void> {
  const { data, resume, checkpoint, takeOver, json = false } = options
  const request: SearchRequest = {
    preset,
    settings: settingsOf(options),
    data,
    out,
    resume,
    checkpoint,
    takeOver,
  }
  if (preset === 'demo' && resume === undefined) await fetchUnlessThere(request)
  const display = searchDisplay(json)
  const observer: Partial<RunObserver> = {
    start: (about) => display.start(about),
    step: (step, steps) => display.step(step, steps),
    epoch: (epoch) => display.epoch(epoch),
    space: (change) => display.event('space', change, spaceLine(change)),
  }
  try {
    const { run, genotype } = await interruptible((signal) => runSearch({ ...request, signal }, observer))
    const drawings = await drawCells(run, genotype)
    display.result({ run: run.path, genotype, drawings })
  } finally {
    display.stop()
  }
}

/**
 * The demo gets its own data, into the default folder alone: whoever names another one means what is there. First it is
 * sure that the rest of the request can be used.
 */
async function fetchUnlessThere(request: SearchRequest): Promise<void> {
  const { config } = planSearch(request)
  // photographs are not searched around: the search itself says that it cannot take them
  const photographs = folderSplits.some((split) => hasSplit('data', split))
  if (request.data === undefined && !photographs && !hasCifar('data', config.dataset))
    await fetchWithProgress(config.dataset, 'data')
}

async function drawCells(run: RunFolder, genotype: Genotype): Promise<string[]> {
  const paths: string[] = []
  for (const cell of cellTypes) {
    const { svg, png } = await drawCell(genotype, cell)
    paths.push(...run.writeCell(cell, svg, png))
  }
  return paths
}
