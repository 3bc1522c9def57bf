/** A genotype as users name it: a published name, the folder of a run, or a file. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DdsasError } from '../errors.ts'
import { reportRead } from '../runs/files.ts'
import { RunFolder } from '../runs/folder.ts'
import type { Genotype } from '../spaces/genotype.ts'
import { parseGenotype, readGenotypeFile } from '../spaces/genotype-file.ts'
import { isPublished, publishedGenotype, publishedGenotypes } from '../spaces/published-genotypes.ts'

/** What the argument of a command may be, for its help. */
export const genotypeHelp = `a published name (${Object.keys(publishedGenotypes).join(', ')}), a run, or a file`

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
