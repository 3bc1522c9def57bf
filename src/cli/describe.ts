/** `ddsas describe`: size, cost and depth of the network that is built from a genotype. */
import { Command, Option } from 'commander'
import { cifarLayouts } from '../data/cifar-layout.ts'
import { DdsasError } from '../errors.ts'
import { isRunOf, readRecord } from '../loop/record.ts'
import { trainKind } from '../retrain/run.ts'
import { RunFolder } from '../runs/folder.ts'
import { searchKind } from '../search/request.ts'
import { isPublished, publishedSize, usualSizes } from '../spaces/darts/published-genotypes.ts'
import { type NetworkKind, networkKinds } from '../spaces/darts/stem.ts'
import type { NetworkDescription } from '../spaces/describe.ts'
import {
  describeNetwork,
  type NetworkShape,
  shownNetwork,
  spaceOf,
  usualNetwork,
} from '../spaces/network-shape.ts'
import type { NetworkSize, SearchSpace } from '../spaces/space.ts'
import { counted } from '../words.ts'
import { genotypeArgument, isFolder, readArchitecture, spaceOption } from './genotype.ts'
import { blocksInWords } from './genotype-text.ts'
import { wholeNumber } from './options.ts'

interface DescribeOptions {
  readonly space?: string
  readonly network?: NetworkKind
  readonly channels?: number
  readonly cells?: number
  readonly classes?: number
  readonly imageSide?: number
  readonly json?: boolean
}

/** The command. `print` receives what goes to standard output. */
export function describeCommand(
  print: (text: string) => void = (text) => process.stdout.write(text),
): Command {
  const kinds = Object.keys(networkKinds)
  return new Command('describe')
    .description(
      "edges, parameters, multiply-adds, depth and cells of a genotype's network: a training's own, or as published",
    )
    .addArgument(genotypeArgument('<genotype>'))
    .addOption(spaceOption())
    .addOption(
      new Option(
        '--network <kind>',
        'stem and auxiliary head (default: what a name was published for, cifar)',
      ).choices(kinds),
    )
    .option(
      '--channels <C>',
      "channels of a node in the first cells (default: the space's, 36 for darts, imagenet 48)",
      wholeNumber,
    )
    .option('--cells <N>', "how many cells (default: the space's, 20 for darts, imagenet 14)", wholeNumber)
    .option('--classes <K>', 'how many classes (default: 10, imagenet 1000)', wholeNumber)
    .option('--image-side <px>', 'height and width of the images (default: 32, imagenet 224)', wholeNumber)
    .option('--json', 'print the result as JSON')
    .action((text: string, options: DescribeOptions) => {
      const { space, architecture: genotype } = readArchitecture(text, options.space)
      const { network } = options
      const own = network === undefined ? knownSize(text, space) : { size: usualNetwork(space, network) }
      const size = { ...own.size, ...sizesOf(options) }
      const shape = { ...size, space, genotype, auxiliary: true }
      const description = describeNetwork(shape, options.imageSide ?? own.imageSide)
      print(
        options.json
          ? `${JSON.stringify({ network: size, genotype, ...description })}\n`
          : describeText(text, shape, description),
      )
    })
}

/** The size that a name was published for, or that a training has settled; the usual one for anything else. */
function knownSize(
  target: string,
  space: SearchSpace,
): { readonly size: NetworkSize; readonly imageSide?: number } {
  if (isPublished(target)) return { size: publishedSize(target) }
  return trainedSize(target, space) ?? { size: usualNetwork(space, 'cifar') }
}

/** What the run of a training has settled; undefined for anything else that has a genotype. */
function trainedSize(target: string, space: SearchSpace) {
  if (isFolder(target) !== true) return undefined
  const run = RunFolder.open(target)
  if (isRunOf(run, 'search')) return sizeForFolder(run, space)
  if (!isRunOf(run, 'train')) return undefined
  const { config, data } = readRecord(run, trainKind)
  const known = config.dataset === 'folder' ? data.classes : cifarLayouts[config.dataset].classes
  const classes = known?.length ?? usualSizes[config.network.kind].classes
  return { size: { ...config.network, classes }, imageSide: config.data.imageSize }
}

/** The usual network for the images of a folder that was searched on; undefined for a search on CIFAR. */
function sizeForFolder(run: RunFolder, space: SearchSpace) {
  const { config, data } = readRecord(run, searchKind)
  if (config.dataset !== 'folder' || data.classes === undefined) return undefined
  const size = { ...usualNetwork(space, 'cifar'), classes: data.classes.length }
  return { size, imageSide: config.data.imageSize }
}

/** Bounds keep a slip of the keyboard from asking for a network without end. */
const most = { channels: 4096, cells: 1000, classes: 1_000_000 } as const

/** The sizes that were given. */
function sizesOf(options: DescribeOptions): Partial<Record<keyof typeof most, number>> {
  const given: Partial<Record<keyof typeof most, number>> = {}
  for (const key of ['channels', 'cells', 'classes'] as const) {
    const value = options[key]
    if (value === undefined) continue
    if (value < 1 || value > most[key] || (key === 'channels' && value % 2 === 1)) {
      const even = key === 'channels' ? ', even' : ''
      throw new DdsasError('input', `--${key} ${value}: give 1 to ${most[key]}${even}`)
    }
    given[key] = value
  }
  return given
}

/** "3,600,334". */
function grouped(value: number): string {
  return value.toLocaleString('en-US')
}

function describeText(name: string, shape: NetworkShape, description: NetworkDescription): string {
  const { kind, channels, cells, classes } = shape
  const { parameters, parametersWithAuxiliary, multiplyAdds, depth, imageSide } = description
  const kindWidth = Math.max(6, ...description.cells.map(({ type }) => type.length))
  const rows = description.cells.map(({ type, output, parameters: own, multiplyAdds: cost }, index) =>
    [
      String(index).padStart(4),
      type.padEnd(kindWidth),
      output.join(' x ').padStart(16),
      grouped(own).padStart(13),
      grouped(cost).padStart(15),
    ].join('  '),
  )
  return `${[
    `${name}: ${kind} network, C = ${channels}, ${counted(cells, 'cell')}, ${counted(classes, 'class', 'classes')}, ${imageSide} px`,
    `parameters:    ${grouped(parameters)}${parametersWithAuxiliary > parameters ? ` (${grouped(parametersWithAuxiliary)} with the auxiliary head)` : ''}`,
    `multiply-adds: ${grouped(multiplyAdds)} for an image: convolutions and linear layers, as DARTS counts`,
    `depth:         ${depth} convolutions and linear layers on the longest way`,
    '',
    `${'cell'.padStart(4)}  ${'type'.padEnd(kindWidth)}  ${'output'.padStart(16)}  ${'parameters'.padStart(13)}  ${'multiply-adds'.padStart(15)}`,
    ...rows,
    '',
  ].join('\n')}\n${blocksInWords(shownNetwork(spaceOf(shape), shape.genotype))}`
}
