/** `ddsas search`: searches a cell on CIFAR images, or goes on with a search. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { hasCifar } from '../data/cifar.ts'
import { drawCell } from '../export/draw.ts'
import type { RunFolder } from '../runs/folder.ts'
import { cellTypes, type Genotype } from '../spaces/genotype.ts'
import { deviceNames } from '../torch/device.ts'
import { searchPresets } from '../train/presets.ts'
import { planSearch, runSearch, type SearchRequest } from '../train/run.ts'
import { fetchWithProgress } from './data.ts'
import { searchDisplay } from './search-display.ts'

interface SearchOptions {
  readonly data?: string
  readonly out?: string
  readonly set: readonly string[]
  readonly seed?: number
  readonly epochs?: number
  readonly device?: string
  readonly threads?: number
  readonly resume?: string
  readonly checkpoint?: number
  readonly json?: boolean
}

export function searchCommand(): Command {
  return new Command('search')
    .description('search a cell: its genotype, drawings and metrics go to a run folder')
    .argument('[preset]', `what to search: ${Object.keys(searchPresets).join(', ')}`)
    .option('--data <dir>', 'folder with the data set (default: data, or what the resumed run used)')
    .option('--out <dir>', 'folder of the run (default: runs/<preset>, numbered when it exists)')
    .option(
      '--set <key=value>',
      'change a setting; may be repeated',
      (value, all: string[]) => [...all, value],
      [],
    )
    .option('--seed <n>', 'the same seed on the same machine gives the same search', wholeNumber)
    .option('--epochs <n>', 'how many epochs', wholeNumber)
    .option('--device <name>', deviceNames.join(', '))
    .option('--threads <n>', 'threads for one operator (default: all cores)', wholeNumber)
    .option('--resume <run>', 'go on with a run, from its latest checkpoint')
    .option('--checkpoint <step>', 'with --resume: go on from this checkpoint', wholeNumber)
    .option('--json', 'print one JSON object a line instead of progress')
    .action(searchAction)
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is wanted')
  return Number(text)
}

/** The named options are short for `--set`. */
function settingsOf({ set, seed, epochs, device, threads }: SearchOptions): string[] {
  const short = Object.entries({ seed, epochs, device, threads })
  return [...set, ...short.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))]
}

/** runs/demo, runs/demo-2, …: the first that does not exist. */
function freeFolder(preset: string): string {
  for (let number = 1; ; number++) {
    const path = join('runs', number === 1 ? preset : `${preset}-${number}`)
    if (!existsSync(path)) return path
  }
}

async function searchAction(preset: string | undefined, options: SearchOptions): Promise<void> {
  const { data, resume, checkpoint, json = false } = options
  const out = options.out ?? (preset === undefined || resume !== undefined ? undefined : freeFolder(preset))
  const request: SearchRequest = { preset, settings: settingsOf(options), data, out, resume, checkpoint }
  if (preset === 'demo' && resume === undefined) await fetchUnlessThere(request)
  const display = searchDisplay(json)
  try {
    const { run, genotype } = await runSearch(request, display)
    const drawings = await drawCells(run, genotype)
    display.result(genotype, run.path, drawings)
  } finally {
    display.stop()
  }
}

/** The demo gets its own data; first it is sure that the rest of the request can be used. */
async function fetchUnlessThere(request: SearchRequest): Promise<void> {
  const { config } = planSearch(request)
  const { data = 'data' } = request
  if (!hasCifar(data, config.dataset)) await fetchWithProgress(config.dataset, data)
}

async function drawCells(run: RunFolder, genotype: Genotype): Promise<string[]> {
  const paths: string[] = []
  for (const cell of cellTypes) {
    const { svg, png } = await drawCell(genotype, cell)
    paths.push(...run.writeCell(cell, svg, png))
  }
  return paths
}
