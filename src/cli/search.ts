/** `ddsas search`: searches a cell on CIFAR images, or goes on with a search. */
import { Command } from 'commander'
import { hasCifar } from '../data/cifar.ts'
import { folderSplits, hasSplit } from '../data/folder.ts'
import { blockKinds } from '../export/block-view.ts'
import { drawBlock } from '../export/draw.ts'
import type { RunFolder } from '../runs/folder.ts'
import { searchPresets } from '../search/presets.ts'
import { planSearch, type RunObserver, runSearch, type SearchRequest } from '../search/run.ts'
import type { Genotype } from '../spaces/darts/genotype.ts'
import { genotypeProgram } from '../spaces/darts/programs.ts'
import { fetchWithProgress } from './data.ts'
import { addRunOptions, interruptible, type RunOptions, settingsOf } from './options.ts'
import { searchDisplay } from './search-display.ts'
import { spaceLine } from './search-text.ts'
import { suggestedArgument } from './suggestions.ts'

const presets = Object.keys(searchPresets)

export function searchCommand(): Command {
  const command = new Command('search')
    .description('search a cell: its genotype, drawings and metrics go to a run folder')
    .addArgument(suggestedArgument('[preset]', `what to search: ${presets.join(', ')}`, presets))
  return addRunOptions(command, 'runs/<preset>').action(searchAction)
}

async function searchAction(preset: string | undefined, options: RunOptions): Promise<void> {
  const { data, out, resume, checkpoint, takeOver, json = false } = options
  const settings = settingsOf(options)
  const request: SearchRequest = { preset, settings, data, out, resume, checkpoint, takeOver }
  if (preset === 'demo' && resume === undefined) await fetchUnlessThere(request)
  const display = searchDisplay(json, resume !== undefined)
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
  const program = genotypeProgram(genotype)
  const paths: string[] = []
  for (const kind of blockKinds(program)) {
    const { svg, png } = await drawBlock(program, kind)
    paths.push(...run.writeCell(kind, svg, png))
  }
  return paths
}
