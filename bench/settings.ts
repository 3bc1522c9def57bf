/** The settings that benchmarks take, each an option of the command line with a default. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { trainPresets } from '../src/retrain/presets.ts'
import { searchPresets } from '../src/search/presets.ts'
import type { SearchSpace } from '../src/spaces/space.ts'
import { defaultSettings } from '../src/strategies/ddsas/settings.ts'
import { benchSpaces, type SpaceName, spaceNames } from './spaces.ts'
import type { StepShape } from './step.ts'

/** A benchmark reads those it names; the others are not offered. All are of the CPU; bench/gpu measures GPUs. */
export interface Settings extends Omit<StepShape, 'device' | 'precision'> {
  /** Turns that count for each contestant; where not said, as many as it takes (`turnLimits`). */
  readonly turns?: number
  readonly threads: number
  /** The L that `length` compares; where not said, those of the space. */
  readonly lengths?: readonly number[]
  /** Whether `length` times the plain supernets, too. */
  readonly plain: boolean
  /** The size of the discrete network that `network` trains. */
  readonly networkChannels: number
  readonly networkCells: number
  readonly networkBatch: number
  /** Folder with images in `train/CLASS/` for `decode`. */
  readonly data?: string
}

export type SettingName = keyof Settings

function count(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('a whole number of 1 or more is wanted')
  return Number(text)
}

function counts(text: string): number[] {
  return text.split(',').map(count)
}

const [firstSpace] = spaceNames
const { data, threads } = searchPresets.cifar10
const { cifar10: recipe } = trainPresets

/** Sizes of the search that was published for a space. */
function usualShape(name: SpaceName): Pick<StepShape, 'channels' | 'cells' | 'subspace'> {
  const space: SearchSpace = benchSpaces[name].space
  return { ...space.defaults, subspace: defaultSettings(space).ddsas.subspace }
}

/** "default: 8 of darts; 15 of nasbench201". */
function usual(of: (shape: ReturnType<typeof usualShape>) => number): string {
  return `default: ${spaceNames.map((name) => `${of(usualShape(name))} of ${name}`).join('; ')}`
}

const options: Readonly<Record<SettingName, Option>> = {
  turns: new Option(
    '--turns <n>',
    'turns that count (default: until quartiles are within 5 % of the median, 5 to 15)',
  ).argParser(count),
  threads: new Option('--threads <n>', 'threads for one operator').argParser(count).default(threads),
  space: new Option('--space <name>', 'space of the supernet').choices(spaceNames).default(firstSpace),
  channels: new Option(
    '--channels <n>',
    `C of the supernet (${usual(({ channels }) => channels)})`,
  ).argParser(count),
  cells: new Option('--cells <n>', `cells of the supernet (${usual(({ cells }) => cells)})`).argParser(count),
  batch: new Option('--batch <n>', 'images of a batch').argParser(count).default(data.batch),
  subspace: new Option(
    '--subspace <L>',
    `operations of a subspace (${usual(({ subspace }) => subspace)})`,
  ).argParser(count),
  lengths: new Option(
    '--lengths <L,...>',
    `subspaces to compare (default: ${Object.entries(benchSpaces)
      .map(([name, { lengths }]) => `${lengths.join()} of ${name}`)
      .join('; ')})`,
  ).argParser(counts),
  plain: new Option('--plain', 'the plain supernets, too').default(false),
  networkChannels: new Option('--network-channels <n>', 'C of the discrete network')
    .argParser(count)
    .default(recipe.network.channels),
  networkCells: new Option('--network-cells <n>', 'its cells').argParser(count).default(recipe.network.cells),
  networkBatch: new Option('--network-batch <n>', 'images of its batch')
    .argParser(count)
    .default(recipe.data.batch),
  data: new Option('--data <dir>', 'decode the images of DIR/train/CLASS instead of made ones'),
}

/** Gives a command the options of some settings. */
export function addSettings(command: Command, names: Iterable<SettingName>): Command {
  for (const name of new Set(names)) command.addOption(options[name])
  return command
}

/** All settings, those not given at their defaults. */
export function completeSettings(given: Partial<Settings>): Settings {
  const defaults = Object.entries(options).map(([name, option]) => [name, option.defaultValue])
  const { space = firstSpace } = given
  return { ...Object.fromEntries(defaults), ...usualShape(space), ...given }
}

/** The shape of a search step alone. */
export function shapeOf({ space, channels, cells, batch, subspace }: Settings): StepShape {
  return { space, channels, cells, batch, subspace }
}

export const shapeSchema = z.object({
  // results of before there were others do not say it
  space: z.enum(spaceNames).default(firstSpace),
  channels: z.number(),
  cells: z.number(),
  batch: z.number(),
  subspace: z.number(),
})

/** All but L. */
export function supernetText({ space, channels, cells, batch }: Omit<StepShape, 'subspace'>): string {
  return `${space}, C = ${channels}, ${cells} cells, batch ${batch}`
}

export function shapeText({ subspace, ...shape }: StepShape): string {
  return `${supernetText(shape)}, L = ${subspace}`
}
