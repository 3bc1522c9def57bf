/** `ddsas show`: a genotype, from a run or a file, as JSON, as a PyTorch line, in words and as drawings. */
import { statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { DdsasError } from '../errors.ts'
import { drawCell } from '../export/draw.ts'
import { formatJson, reportRead, writeDrawing } from '../runs/files.ts'
import { RunFolder } from '../runs/folder.ts'
import { type CellType, cellTypes, type Genotype } from '../spaces/genotype.ts'
import { formatGenotype, parseGenotype, readGenotypeFile } from '../spaces/genotype-file.ts'

interface ShowOptions {
  readonly out?: string
  readonly json?: boolean
}

/** The command. `print` receives what goes to standard output. */
export function showCommand(print: (text: string) => void = (text) => process.stdout.write(text)): Command {
  return new Command('show')
    .description('print and draw the genotype of a run or of a file')
    .argument('<run|genotype>', 'folder of a run, or file with a genotype (JSON or a Genotype(...) line)')
    .option('--out <dir>', "folder for the drawings (default: the run's cells/, or the current folder)")
    .option('--json', 'print only the genotype as JSON; draw only when --out is given')
    .action((target: string, options: ShowOptions) => show(target, options, print))
}

async function show(target: string, options: ShowOptions, print: (text: string) => void): Promise<void> {
  const { genotype, folder } = readTarget(target)
  print(formatJson(genotype))
  if (options.json !== true) print(`\n${formatGenotype(genotype)}\n\n${describe(genotype)}`)
  if (options.json === true && options.out === undefined) return
  const paths = await draw(genotype, resolve(options.out ?? folder))
  if (options.json !== true) print(`\n${paths.map((path) => `drawn: ${path}\n`).join('')}`)
}

/** The genotype and where its drawings go unless told otherwise. */
function readTarget(target: string): { genotype: Genotype; folder: string } {
  const isFolder = reportRead(target, () => statSync(target, { throwIfNoEntry: false }))?.isDirectory()
  if (isFolder === undefined) {
    throw new DdsasError(
      'input',
      `${target} does not exist; name the folder of a run or a file with a genotype`,
    )
  }
  if (!isFolder) return { genotype: readGenotypeFile(target), folder: '.' }
  const run = RunFolder.open(target)
  const found = run.readGenotype()
  if (found === undefined) {
    throw new DdsasError(
      'input',
      `${run.path} has no genotype.json yet; wait until its search has derived one`,
    )
  }
  return { genotype: parseGenotype(found, join(run.path, 'genotype.json')), folder: join(run.path, 'cells') }
}

async function draw(genotype: Genotype, folder: string): Promise<string[]> {
  const paths: string[] = []
  for (const cell of cellTypes) paths.push(...writeDrawing(folder, cell, await drawCell(genotype, cell)))
  return paths
}

/** One line for each node: what it adds up. */
function describe(genotype: Genotype): string {
  return cellTypes.map((cell) => describeCell(genotype, cell)).join('\n')
}

function describeCell(genotype: Genotype, cell: CellType): string {
  const source = (input: number): string => ['c_{k-2}', 'c_{k-1}'][input] ?? `node ${input - 2}`
  const lines = [cell === 'normal' ? 'normal cell' : 'reduction cell']
  for (let index = 0; index < genotype[cell].length; index += 2) {
    const terms = genotype[cell]
      .slice(index, index + 2)
      .map(([operation, input]) => `${operation}(${source(input)})`)
    lines.push(`  node ${index / 2} = ${terms.join(' + ')}`)
  }
  lines.push(`  c_{k}  = concat(${genotype[`${cell}_concat`].map(source).join(', ')})`)
  return `${lines.join('\n')}\n`
}
