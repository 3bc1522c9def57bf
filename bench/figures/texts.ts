/** The texts that state what was measured, and their blocks as the results in the repository have them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DdsasError } from '../../src/errors.ts'
import { writeFileAtomic } from '../../src/runs/files.ts'
import { benchmarks } from '../benchmarks.ts'
import { type Results, readResults, resultsLines } from '../results.ts'
import { type Blocks, writeBlocks } from './blocks.ts'
import { gpuLines, readGpu } from './gpu.ts'
import { readmeBlocks } from './readme.ts'
import { readRuns } from './runs.ts'
import { spaceStepLines } from './space-step.ts'

/** A text as it is, and as its blocks should be. */
export interface Text {
  readonly path: string
  readonly now: string
  readonly wanted: string
}

/** The results that were measured last: those that the README tells. */
function latest(all: ReadonlyMap<string, Results>, folder: string): Results {
  const sorted = [...all.values()].sort((a, b) => a.machine.date.localeCompare(b.machine.date))
  const last = sorted.at(-1)
  if (last !== undefined) return last
  throw new DdsasError('data', `there are no results in ${folder}; measure them: npm run bench -- all`)
}

/** Blocks by the path of their text below `root`. */
export function measuredBlocks(root: string): Readonly<Record<string, Blocks>> {
  const folder = join(root, 'bench/results')
  const all = readResults(folder)
  const gpu = readGpu(join(root, 'bench/gpu/results/h100-2.11.0.json'))
  return {
    'README.md': readmeBlocks({ results: latest(all, folder), gpu, runs: readRuns(folder) }),
    'bench/README.md': {
      gpu: gpuLines(gpu),
      imagenet: spaceStepLines(join(folder, 'runs/imagenet-step.json')),
      nasbench: spaceStepLines(join(folder, 'runs/nasbench201-step.json')),
      results: resultsLines(all, benchmarks, 'results'),
    },
  }
}

export function textsOf(root: string, blocks: Readonly<Record<string, Blocks>>): Text[] {
  return Object.entries(blocks).map(([path, own]) => {
    const now = readFileSync(join(root, path), 'utf8')
    return { path, now, wanted: writeBlocks(now, own, path) }
  })
}

/** Writes the texts whose blocks say something else than they should; returns their paths. */
export function writeTexts(root: string, texts: readonly Text[]): string[] {
  const changed = texts.filter(({ now, wanted }) => now !== wanted)
  for (const { path, wanted } of changed) writeFileAtomic(join(root, path), wanted)
  return changed.map(({ path }) => path)
}
