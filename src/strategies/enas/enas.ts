/**
 * ENAS: weights learn architectures that a controller samples, one a step; after each epoch the controller learns by REINFORCE from
 * their accuracy on validation batches. In the end the best of many of its samples is picked.
 *
 * A controller decides one candidate for each row. Where an architecture keeps only some of the rows, as a cell of DARTS two edges
 * into each node, those are drawn evenly and never learnt: the controller reads that a row was left out, and decides the others.
 */
import { z } from 'zod'
import type { ArchWeights, ArchWeightsOf } from '../../nn/index.ts'
import { Generator } from '../../torch/index.ts'
import { Ranking, rankingText, samplesOf } from '../shared/ranking.ts'
import { pathWeights, SinglePath } from '../shared/single-path.ts'
import { stateData } from '../shared/state.ts'
import { nasbench201Epochs, nasbench201Weights } from '../shared/weight-recipe.ts'
import {
  type Evaluate,
  type MeasureNext,
  type Occasion,
  type Ranked,
  type Score,
  type StateDict,
  type Strategy,
  type StrategyContext,
  type StrategyDefinition,
  usualOccasion,
} from '../strategy.ts'
import { Controller, type Sampled } from './controller.ts'
import { architectureOf, type Decision, decisionsOf, drawMade } from './decisions.ts'
import { Reinforce } from './reinforce.ts'
import { defaults, type EnasSettings, enasSettings } from './settings.ts'

const stateSchema = z.object({
  generator: z.array(z.number().int()),
  step: z.number(),
  current: z.unknown(),
  measured: z.number().int().nonnegative(),
})

class Enas<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #settings: EnasSettings['enas']
  readonly #decisions: readonly Decision[]
  readonly #controller: Controller
  readonly #reinforce: Reinforce
  readonly #generator: Generator
  readonly #path: SinglePath<Architecture>
  readonly #ranking: Ranking<Architecture>
  #step = 0
  /** Samples that the controller learnt from since the last step of the search. */
  #measured = 0

  constructor(context: StrategyContext<Architecture>, settings: EnasSettings) {
    const { space, init, seed } = context
    this.#context = context
    this.#settings = settings.enas
    this.#decisions = decisionsOf(space)
    this.#controller = new Controller(space.choices, this.#decisions, init)
    this.#reinforce = new Reinforce(this.#controller, settings.enas, settings)
    this.#generator = new Generator(seed, 'controller')
    this.#path = new SinglePath(context, this.#architecture(this.#sample(this.#generator)))
    this.#ranking = new Ranking(context)
  }

  #sample(generator: Generator): Sampled {
    const made = drawMade(this.#context.space, this.#decisions, generator)
    return this.#controller.sample(made, generator)
  }

  #architecture({ decided }: Sampled): Architecture {
    return architectureOf(this.#context.space, this.#decisions, decided)
  }

  prepareStep(): void {
    this.#step += 1
    this.#measured = 0
    this.#path.run(this.#architecture(this.#sample(this.#generator)))
  }

  archStep(): undefined {
    return undefined
  }

  archWeights(name: string): ArchWeights {
    return this.#path.archWeights(name)
  }

  /** Trains the controller; stopped between two samples, it goes on there. */
  async endEpoch(measureNext: MeasureNext, progress?: Occasion['progress']): Promise<void> {
    const { updates, updateSamples } = this.#settings
    const total = updates * updateSamples
    while (this.#measured < total) {
      const before = this.#generator.state()
      const sampled = this.#sample(this.#generator)
      const after = this.#generator.state()
      // what is stopped while it is measured is sampled again
      this.#generator.load(before)
      const { accuracy } = await this.#measure(this.#architecture(sampled), measureNext)
      this.#generator.load(after)
      this.#reinforce.learn(sampled, accuracy)
      this.#measured += 1
      progress?.(this.#measured, total)
    }
  }

  async #measure(architecture: Architecture, measureNext: MeasureNext): Promise<Score> {
    const weights = pathWeights(this.#context, architecture)
    const of: ArchWeightsOf = (group) => weights.of(group)
    try {
      return await measureNext(of)
    } finally {
      weights.dispose()
    }
  }

  /** The best of some that the controller samples now; then that one is what runs, so that it is measured. */
  async derive(evaluate: Evaluate, occasion: Occasion = usualOccasion): Promise<Architecture> {
    const { space, seed } = this.#context
    // a stream of its own for each time: stopped midway, the same are sampled again
    const generator = new Generator(seed, `candidates ${this.#step}`)
    const samples = samplesOf(this.#settings, occasion)
    const sampled = Array.from({ length: samples }, () => this.#architecture(this.#sample(generator)))
    // a controller that is sure of itself samples some again and again
    const different = new Map(sampled.map((one) => [space.format(one), one]))
    const [best] = await this.#ranking.rank([...different.values()], evaluate, this.#settings, occasion)
    this.#path.run(best.architecture)
    return best.architecture
  }

  ranked(): readonly Ranked<Architecture>[] {
    return this.#ranking.ranked
  }

  state(): StateDict {
    const { tensors, data } = this.#reinforce.state()
    const own: z.infer<typeof stateSchema> = {
      generator: [...this.#generator.state()],
      step: this.#step,
      current: this.#path.architecture,
      measured: this.#measured,
    }
    return { tensors, data: { ...own, ...data, ...this.#ranking.state() } }
  }

  load(saved: StateDict): void {
    const { generator, step, current, measured } = stateData(saved, stateSchema)
    this.#reinforce.load(saved, this.#decisions)
    this.#ranking.load(saved)
    this.#generator.load(generator)
    this.#step = step
    this.#measured = measured
    this.#path.run(this.#context.space.parse(current, 'state.json'))
  }

  dispose(): void {
    this.#path.dispose()
    this.#reinforce.dispose()
    this.#controller.dispose()
  }
}

/** ENAS for the registry. */
export const enas: StrategyDefinition<EnasSettings> = {
  name: 'enas',
  settings: enasSettings,
  defaults: () => defaults,
  published: nasbench201Epochs,
  weightRecipe: nasbench201Weights,
  check: (_, space) => void decisionsOf(space),
  describe: ({ enas }) =>
    `controller by ${enas.updates} x ${enas.updateSamples} samples an epoch, ${rankingText(enas)}`,
  create: (context, settings) => new Enas(context, settings),
}
