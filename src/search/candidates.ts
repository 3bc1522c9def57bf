/** The best architectures of a search by what it has learnt so far, not only the one it picks, and what their networks cost. */
import { z } from 'zod'
import { withLimits } from '../budget/limits.ts'
import type { TargetNetwork } from '../budget/network-costs.ts'
import { DdsasError } from '../errors.ts'
import { readRecord } from '../loop/record.ts'
import { checkRequest } from '../loop/request.ts'
import type { Progress } from '../nn/step.ts'
import { RunFolder } from '../runs/folder.ts'
import { bestArchitectures } from '../spaces/best-architectures.ts'
import { describeNetwork } from '../spaces/network-shape.ts'
import type { SearchSpace } from '../spaces/space.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { partsOf, type SearchConfig } from './config.ts'
import { limitsOf, targetNetwork } from './limits.ts'
import { ownPartsOf, type SearchRequest, searchKindWith, searchRequest } from './request.ts'
import { readSaved } from './saved.ts'

/** Of which run; its own parts are needed where it has some. */
export interface CandidatesRequest extends Pick<SearchRequest, 'space' | 'strategy'> {
  /** Folder of the run. */
  readonly run: string
  /** How many; 10 unless given. */
  readonly top?: number | undefined
}

export interface Candidate {
  readonly architecture: unknown
  /** The sum of the scores of its candidates, or the accuracy that it had with the shared weights, 0 … 1. */
  readonly score: number
  /** 0: the first; 1: nothing in common with it. */
  readonly distance: number
  /** Of the network to be trained, without the auxiliary head. */
  readonly parameters: number
  readonly multiplyAdds: number
}

export interface Candidates {
  /** Absolute path of the run. */
  readonly run: string
  readonly space: SearchSpace
  readonly strategy: string
  /** Where the search stood at its last checkpoint. */
  readonly progress: Progress
  /** What `score` is. */
  readonly by: 'scores' | 'accuracy'
  readonly network: TargetNetwork
  /** The best first. */
  readonly candidates: readonly Candidate[]
}

const candidatesRequest = {
  run: z.string(),
  top: z.int().positive().max(1000).optional(),
  space: searchRequest.space,
  strategy: searchRequest.strategy,
}

/**
 * The best architectures by the last checkpoint of a run. By scores, where its strategy scores candidates: the largest sums among all
 * architectures, of what is available and within the run's limits. By validation, where it ranks architectures: those it ranked last.
 * @throws {DdsasError} `input` where there is no such run, nothing was learnt yet, or the space does not say its parts; `data` or
 * `checkpoint` where the run cannot be read.
 */
export function findCandidates(request: CandidatesRequest): Candidates {
  checkRequest(request, candidatesRequest, 'findCandidates')
  const { top = 10 } = request
  const run = RunFolder.open(request.run)
  const own = ownPartsOf(request)
  const { config, data } = readRecord(run, searchKindWith(own))
  const parts = partsOf(config, own)
  const classes = data.classes?.length
  const limits = limitsOf(config, parts.space, classes)
  const space = limits.length > 0 ? withLimits(parts.space, limits) : parts.space
  const saved = readSaved(run, config, parts)
  const { progress } = saved
  const strategy = saved.strategy(space)
  const network = targetNetwork(config, space, classes)
  try {
    // what a search still does after its last checkpoint
    if (progress.epoch >= config.epochs) strategy.finish?.(progress)
    const { by, scored } = scoredBy(strategy, space, top, config, run)
    const [first] = scored
    const candidates = scored.map(({ architecture, score }): Candidate => {
      const shape = { ...network, space, genotype: architecture, auxiliary: true }
      const { parameters, multiplyAdds } = describeNetwork(shape, network.imageSide)
      const distance = space.distance(architecture, first.architecture)
      return { architecture, score, distance, parameters, multiplyAdds }
    })
    return { run: run.path, space, strategy: config.strategy, progress, by, network, candidates }
  } finally {
    strategy.dispose()
  }
}

function scoredBy(
  strategy: Strategy,
  space: SearchSpace,
  top: number,
  config: SearchConfig,
  run: RunFolder,
): Pick<Candidates, 'by'> & { readonly scored: readonly Pick<Candidate, 'architecture' | 'score'>[] } {
  const ranked = strategy.ranked?.() ?? []
  if (ranked.length > 0) {
    const scored = ranked
      .slice(0, top)
      .map(({ architecture, accuracy }) => ({ architecture, score: accuracy }))
    return { by: 'accuracy', scored }
  }
  const scores = strategy.scores?.()
  if (scores !== undefined) {
    const scored = bestArchitectures(space, scores, top, 'the list of candidates')
    // limits may leave none of the many that were looked at
    if (scored.length > 0) return { by: 'scores', scored }
  }
  throw new DdsasError('input', `${run.path}: ${whyNone(strategy, config)}`)
}

function whyNone(strategy: Strategy, { strategy: name }: SearchConfig): string {
  if (strategy.scores)
    return 'none of its best architectures is within its limits; `show` prints the one that was picked'
  if (strategy.ranked) return 'its search has ranked nothing yet; wait for the end of its first epoch'
  return `the strategy '${name}' neither scores candidates nor ranks architectures; \`show\` prints the one it picked`
}
