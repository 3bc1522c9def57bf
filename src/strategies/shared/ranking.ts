/** Architectures ranked by the accuracy that they have with the shared weights: how single-path methods pick one. */
import { z } from 'zod'
import type { ArchWeightsOf } from '../../nn/index.ts'
import type { Evaluate, Occasion, Ranked, Score, StateDict, StrategyContext } from '../strategy.ts'
import { pathWeights } from './single-path.ts'
import { stateData } from './state.ts'

const architectures = z.number().int().positive().max(100_000)

/** How many are compared, and on what. */
export const rankingSettings = {
  samples: architectures.meta({
    unit: 'architectures',
    description: 'how many are compared when the search ends',
  }),
  epochSamples: architectures.meta({
    unit: 'architectures',
    description: 'how many are compared after each epoch before, which shows where the search stands',
  }),
  images: z.number().int().nonnegative().meta({
    unit: 'images',
    description: 'validation images that each is measured on; 0: all that accuracy is measured on',
  }),
  finalists: architectures.meta({
    unit: 'architectures',
    description: 'the best of those, which are measured on all images when the search ends',
  }),
}

export type RankingSettings = z.infer<z.ZodObject<typeof rankingSettings>>

/** As on NAS-Bench-201, where one batch was published for each: ten are steadier. */
export const usualRanking: RankingSettings = { samples: 100, epochSamples: 10, images: 640, finalists: 10 }

/** "best of 100 by validation in the end". */
export function rankingText({ samples }: RankingSettings): string {
  return `best of ${samples} by validation in the end`
}

/** How many are compared now. */
export function samplesOf({ samples, epochSamples }: RankingSettings, { last }: Occasion): number {
  return last ? samples : epochSamples
}

const scoreSchema = z.object({ loss: z.number(), accuracy: z.number() })
const keptSchema = z.object({
  // a stop found none under way; older runs said nothing
  measured: z.array(scoreSchema).default([]),
  ranked: z.array(scoreSchema.extend({ architecture: z.unknown() })).default([]),
})
const stateSchema = z.object({ ranking: keptSchema.default({ measured: [], ranked: [] }) })

/** How many of a ranking are kept for who asks for candidates. */
const kept = 100

/** One ranking after the other. One that was stopped midway goes on with what was measured. */
export class Ranking<Architecture> {
  readonly #context: Pick<StrategyContext<Architecture>, 'space' | 'init'>
  /** Of the ranking under way, in the order of measuring. */
  #measured: Score[] = []
  #ranked: readonly Ranked<Architecture>[] = []

  constructor(context: Pick<StrategyContext<Architecture>, 'space' | 'init'>) {
    this.#context = context
  }

  /** The best of the last ranking, the best first; none before the first. */
  get ranked(): readonly Ranked<Architecture>[] {
    return this.#ranked
  }

  /**
   * All candidates by their accuracy on the first `images` images, then, where the search ends, so many `finalists` by that on all
   * images: the best first, of equals the one of less loss, then the earlier one. The images are the same for all, so that an easy
   * batch favours none. `candidates` are the same, too, where a ranking goes on that was stopped.
   */
  async rank(
    candidates: readonly Architecture[],
    evaluate: Evaluate,
    { images, finalists }: Pick<RankingSettings, 'images' | 'finalists'>,
    { last, progress }: Occasion,
  ): Promise<readonly Ranked<Architecture>[]> {
    // measured on all images already
    const second = images === 0 || !last ? 0 : Math.min(finalists, candidates.length)
    const total = candidates.length + second
    let done = 0
    const measure = async (all: readonly Architecture[], count: number) => {
      const scored: Ranked<Architecture>[] = []
      for (const architecture of all) {
        this.#measured[done] ??= await this.#score(architecture, evaluate, count)
        scored.push({ architecture, ...this.#measured[done] })
        done += 1
        progress?.(done, total)
      }
      return scored.sort((a, b) => b.accuracy - a.accuracy || a.loss - b.loss)
    }
    const first = await measure(candidates, images)
    const best = first.slice(0, second).map(({ architecture }) => architecture)
    const ranked = second > 0 ? await measure(best, 0) : first
    this.#measured = []
    this.#ranked = ranked.slice(0, kept)
    return ranked
  }

  async #score(architecture: Architecture, evaluate: Evaluate, images: number): Promise<Score> {
    const weights = pathWeights(this.#context, architecture)
    const of: ArchWeightsOf = (group) => weights.of(group)
    try {
      const { loss, accuracy } = await evaluate(of, images || undefined)
      return { loss, accuracy }
    } finally {
      weights.dispose()
    }
  }

  state(): Required<z.infer<typeof stateSchema>> {
    return { ranking: { measured: [...this.#measured], ranked: [...this.#ranked] } }
  }

  load(saved: StateDict): void {
    const { ranking } = stateData(saved, stateSchema)
    const { space } = this.#context
    this.#measured = ranking.measured
    // in the order of before: a checkpoint of what was restored is the same to the byte
    this.#ranked = ranking.ranked.map(({ architecture, loss, accuracy }) => ({
      architecture: space.parse(architecture, 'state.json'),
      loss,
      accuracy,
    }))
  }
}
