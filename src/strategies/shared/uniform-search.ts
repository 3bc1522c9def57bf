/** Random search with shared weights: each step trains one architecture drawn uniformly; the best of some by validation is picked. */
import { z } from 'zod'
import type { ArchWeights } from '../../nn/index.ts'
import {
  type Evaluate,
  type Occasion,
  type Ranked,
  type StateDict,
  type Strategy,
  type StrategyContext,
  usualOccasion,
} from '../strategy.ts'
import { Ranking, type RankingSettings, samplesOf } from './ranking.ts'
import { UniformPaths } from './single-path.ts'
import { stateData } from './state.ts'

export interface UniformSearchOptions extends RankingSettings {
  /** Whether the best so far is compared with what is drawn. */
  readonly keepsBest: boolean
}

// none before the first epoch has ended
const stateSchema = z.object({ best: z.unknown().optional() })

export class UniformSearch<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #options: UniformSearchOptions
  readonly #paths: UniformPaths<Architecture>
  readonly #ranking: Ranking<Architecture>
  #best: Architecture | undefined

  constructor(context: StrategyContext<Architecture>, options: UniformSearchOptions) {
    this.#context = context
    this.#options = options
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
    const drawn = this.#paths.candidates(samplesOf(this.#options, occasion))
    const all = this.#best === undefined ? drawn : [this.#best, ...drawn]
    const [{ architecture }] = await this.#ranking.rank(all, evaluate, this.#options, occasion)
    if (this.#options.keepsBest) this.#best = architecture
    this.#paths.run(architecture)
    return architecture
  }

  ranked(): readonly Ranked<Architecture>[] {
    return this.#ranking.ranked
  }

  state(): StateDict {
    const data = { ...this.#paths.state(), best: this.#best, ...this.#ranking.state() }
    return { tensors: new Map(), data }
  }

  load(saved: StateDict): void {
    const { best } = stateData(saved, stateSchema)
    this.#paths.load(saved)
    this.#ranking.load(saved)
    this.#best = best === undefined ? undefined : this.#context.space.parse(best, 'state.json')
  }

  dispose(): void {
    this.#paths.dispose()
  }
}
