/**
 * RSPS (random search with parameter sharing): each step trains one architecture drawn uniformly; in the end many are drawn and
 * measured with the shared weights on a few validation batches, and the best of those on all validation images.
 *
 * Published: 1000 on ten batches each, the best ten in full; on NAS-Bench-201 100 of them after 250 epochs. The published code takes
 * other batches for each architecture, here all are measured on the same images. A search by `random` is the same but for
 * what it compares: few after each epoch, with the best so far among them.
 */
import { z } from 'zod'
import type { ArchWeights } from '../nn/index.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { Ranking, rankingSettings, rankingText, samplesOf, usualRanking } from './shared/ranking.ts'
import { UniformPaths } from './shared/single-path.ts'
import { nasbench201Recipe } from './shared/weight-recipe.ts'
import {
  type Evaluate,
  type Occasion,
  type Ranked,
  type StateDict,
  type Strategy,
  type StrategyContext,
  type StrategyDefinition,
  usualOccasion,
} from './strategy.ts'

const rspsSettings = {
  rsps: z.strictObject(rankingSettings).describe('random search with parameter sharing'),
}

const settingsSchema = z.object(rspsSettings)
export type RspsSettings = z.infer<typeof settingsSchema>

class Rsps<Architecture> implements Strategy<Architecture> {
  readonly #settings: RspsSettings['rsps']
  readonly #paths: UniformPaths<Architecture>
  readonly #ranking: Ranking<Architecture>

  constructor(context: StrategyContext<Architecture>, { rsps }: RspsSettings) {
    this.#settings = rsps
    this.#paths = new UniformPaths(context)
    this.#ranking = new Ranking(context)
  }

  prepareStep(): void {
    this.#paths.prepareStep()
  }

  archStep(): undefined {
    return undefined
  }

  archWeights(name: string): ArchWeights {
    return this.#paths.archWeights(name)
  }

  /** The best of some drawn now; then that one is what runs, so that it is measured. */
  async derive(evaluate: Evaluate, occasion: Occasion = usualOccasion): Promise<Architecture> {
    const drawn = this.#paths.candidates(samplesOf(this.#settings, occasion))
    const [best] = await this.#ranking.rank(drawn, evaluate, this.#settings, occasion)
    this.#paths.run(best.architecture)
    return best.architecture
  }

  ranked(): readonly Ranked<Architecture>[] {
    return this.#ranking.ranked
  }

  state(): StateDict {
    return { tensors: new Map(), data: { ...this.#paths.state(), ...this.#ranking.state() } }
  }

  load(saved: StateDict): void {
    this.#paths.load(saved)
    this.#ranking.load(saved)
  }

  dispose(): void {
    this.#paths.dispose()
  }
}

function defaults({ name }: SearchSpace): RspsSettings {
  return { rsps: name === 'nasbench201' ? usualRanking : { ...usualRanking, samples: 1000 } }
}

/** RSPS for the registry. */
export const rsps: StrategyDefinition<RspsSettings> = {
  name: 'rsps',
  settings: rspsSettings,
  defaults,
  weightRecipe: nasbench201Recipe,
  describe: ({ rsps }) => rankingText(rsps),
  create: (context, settings) => new Rsps(context, settings),
}
