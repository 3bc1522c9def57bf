/** A genotype as users name it: a published name, the folder of a run, or a file. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Argument, Option } from 'commander'
import { DdsasError } from '../errors.ts'
import { reportRead } from '../runs/files.ts'
import { RunFolder } from '../runs/folder.ts'
import type { Genotype } from '../spaces/darts/genotype.ts'
import { parseGenotype, readGenotypeFile } from '../spaces/darts/genotype-file.ts'
import { isPublished, publishedGenotype, publishedGenotypes } from '../spaces/darts/published-genotypes.ts'
import { suggesting } from './suggestions.ts'

const publishedNames = Object.keys(publishedGenotypes)

/** What the argument of a command may be, for its help. */
const genotypeHelp = `a published name (${publishedNames.join(', ')}), a run, or a file`

/** The genotype that a command takes. */
export function genotypeArgument(name: string): Argument {
  return suggesting(new Argument(name, genotypeHelp), publishedNames, true)
}

/** `--genotype`, of commands that take weights. */
export function genotypeOption(): Option {
  const help = 'name, run or file of the genotype, where the weights do not tell it'
  return suggesting(new Option('--genotype <g>', help), publishedNames, true)
}

/** Whether `path` is a folder; undefined where there is nothing. */
export function isFolder(path: string): boolean | undefined {
  return reportRead(path, () => statSync(path, { throwIfNoEntry: false }))?.isDirectory()
}

/** Whether a path is the folder of a run and not a file of weights. Throws DdsasError 'input' where there is nothing. */
export function isRun(path: string): boolean {
  const folder = isFolder(path)
  if (folder !== undefined) return folder
  throw new DdsasError('input', `${path} does not exist; name the folder of a run or a file of weights`)
}

/** The genotype a run has derived so far, checked. */
export function readRunGenotype(run: RunFolder): Genotype | undefined {
  const value = run.readGenotype()
  return value === undefined ? undefined : parseGenotype(value, join(run.path, 'genotype.json'))
}

/**
 * Reads a genotype by its published name, of a run, or from a file (JSON or a Genotype(...) line).
 * @throws {DdsasError} `input` where there is none, or it is not a genotype of DARTS's space.
 */
export function readGenotype(text: string): Genotype {
  if (isPublished(text)) return publishedGenotype(text)
  const folder = isFolder(text)
  if (folder === undefined) throw new DdsasError('input', `'${text}' is no genotype: give ${genotypeHelp}`)
  if (!folder) return readGenotypeFile(text)
  const found = readRunGenotype(RunFolder.open(text))
  if (found !== undefined) return found
  throw new DdsasError('input', `${text} has no genotype.json yet; wait until its search has derived one`)
}
