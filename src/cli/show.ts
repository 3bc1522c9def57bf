/** `ddsas show`: a genotype, published, of a run or from a file, as JSON, as a PyTorch line, in words and as drawings. */
import { resolve } from 'node:path'
import { Command } from 'commander'
import { blockKinds } from '../export/block-view.ts'
import { drawBlock } from '../export/draw.ts'
import type { Program } from '../nn/index.ts'
import { formatJson, writeDrawing } from '../runs/files.ts'
import { shownNetwork } from '../spaces/network-shape.ts'
import { genotypeArgument, readArchitecture, spaceOption } from './genotype.ts'
import { blocksInWords } from './genotype-text.ts'

interface ShowOptions {
  readonly space?: string
  readonly out?: string
  readonly json?: boolean
}

/** The command. `print` receives what goes to standard output. */
export function showCommand(print: (text: string) => void = (text) => process.stdout.write(text)): Command {
  return new Command('show')
    .description('print a genotype, and draw its cells')
    .addArgument(genotypeArgument('<genotype>'))
    .addOption(spaceOption())
    .option('--out <dir>', 'folder for drawings of its cells, SVG and PNG (default: none are written)')
    .option('--json', 'print only the genotype, as JSON')
    .action((target: string, options: ShowOptions) => show(target, options, print))
}

async function show(target: string, options: ShowOptions, print: (text: string) => void): Promise<void> {
  const { space, architecture } = readArchitecture(target, options.space)
  const program = shownNetwork(space, architecture)
  const words = options.json === true ? '' : `\n${space.format(architecture)}\n\n${blocksInWords(program)}`
  print(`${formatJson(architecture)}${words}`)
  if (options.out === undefined) return
  const paths = await draw(program, resolve(options.out))
  if (options.json !== true) print(`\n${paths.map((path) => `drawn: ${path}\n`).join('')}`)
}

async function draw(program: Program, folder: string): Promise<string[]> {
  const paths: string[] = []
  for (const kind of blockKinds(program))
    paths.push(...writeDrawing(folder, kind, await drawBlock(program, kind)))
  return paths
}
