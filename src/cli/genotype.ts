/** A genotype, or an architecture of another space, as users name it: a published name, the folder of a run, a file, the text. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Argument, Option } from 'commander'
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { reportRead } from '../runs/files.ts'
import { RunFolder } from '../runs/folder.ts'
import { dartsSpace } from '../spaces/darts/cell-space.ts'
import { readGenotypeText } from '../spaces/darts/genotype-file.ts'
import { isPublished, publishedGenotype, publishedGenotypes } from '../spaces/darts/published-genotypes.ts'
import { findSpace, spaces } from '../spaces/index.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { suggesting } from './suggestions.ts'

const publishedNames = Object.keys(publishedGenotypes)

/** What the argument of a command may be, for its help. */
const genotypeHelp = `a published name (${publishedNames.join(', ')}), a run, a file, or its text`

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

/** An architecture, and what it is one of. */
export interface NamedArchitecture {
  readonly space: SearchSpace
  readonly architecture: unknown
}

/** `--space`, of commands that take an architecture. */
export function spaceOption(): Option {
  const help = 'what the architecture is of (default: what the run says, else the first that can read it)'
  return new Option('--space <name>', help).choices(Object.keys(spaces))
}

/**
 * Reads an architecture: a published name, what a run has derived so far, a file, or the text itself; of the space of that
 * name, else of the one that the run says, else of the first that can read it.
 * @throws {DdsasError} `input` where there is none, or it is of no space.
 */
export function readArchitecture(text: string, named?: string): NamedArchitecture {
  if (isPublished(text)) return { space: dartsSpace, architecture: publishedGenotype(text) }
  const folder = isFolder(text)
  if (folder === true) return readRunArchitecture(RunFolder.open(text), named)
  if (folder === false) return parseArchitecture(readGenotypeText(text), text, named)
  if (/[|(]/.test(text)) return parseArchitecture(text, 'given', named)
  throw new DdsasError('input', `'${text}' is no genotype: give ${genotypeHelp}`)
}

function readRunArchitecture(run: RunFolder, named: string | undefined): NamedArchitecture {
  const config = z.object({ config: z.object({ space: z.string() }) }).safeParse(run.config)
  const space = findSpace(named ?? config.data?.config.space ?? dartsSpace.name)
  const value = run.readGenotype()
  if (value !== undefined) return { space, architecture: space.parse(value, join(run.path, 'genotype.json')) }
  throw new DdsasError('input', `${run.path} has no genotype.json yet; wait until its search has derived one`)
}

function parseArchitecture(text: string, source: string, named: string | undefined): NamedArchitecture {
  const candidates = named === undefined ? Object.values(spaces) : [findSpace(named)]
  let first: DdsasError | undefined
  for (const space of candidates) {
    try {
      return { space, architecture: space.parse(text, source) }
    } catch (error) {
      if (!(error instanceof DdsasError)) throw error
      first ??= error
    }
  }
  const others = candidates.slice(1).map(({ name }) => name)
  const hint =
    others.length > 0 ? `; if it is of another space (${others.join(', ')}), say so with --space` : ''
  throw new DdsasError('input', `${first?.message ?? `${source} is of no space`}${hint}`, { cause: first })
}
