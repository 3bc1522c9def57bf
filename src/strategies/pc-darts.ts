/**
 * PC-DARTS: as DARTS of first order, in a supernet whose candidates see a part of the channels (`network.partialChannels`); and edges
 * into a node are weighted against each other by a softmax of beta (Eq. 3 of its paper), which what passes by the candidates has, too.
 */
import { z } from 'zod'
import { type ArchWeights, drawn, type InitContext } from '../nn/index.ts'
import { type ChoiceGroup, nodesOf } from '../spaces/space.ts'
import { add, call, keep, mul, reshape, softmax, Tensor, tidy, to } from '../torch/index.ts'
import { Alphas } from './shared/alphas.ts'
import { archOptimizerSettings, usualArchOptimizer } from './shared/arch-optimizer.ts'
import { nasbench201Weights } from './shared/weight-recipe.ts'
import type {
  ArchScores,
  Batch,
  Outcome,
  Progress,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from './strategy.ts'

const pcDartsSettings = {
  pcDarts: z
    .strictObject({
      warmUp: z
        .number()
        .min(0)
        .max(1)
        .meta({ unit: 'of the epochs', description: 'in which alpha and beta rest at the beginning' }),
    })
    .describe('the search by PC-DARTS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(pcDartsSettings)
export type PcDartsSettings = z.infer<typeof settingsSchema>

/** Beta of the edges of a group, and what it makes of them. */
export class EdgeWeights {
  /** float32 [rows]. */
  readonly beta: Tensor
  /** [rows, rows]: 0 for edges into the same node, and minus infinity. */
  readonly #apart: Tensor

  constructor(choices: ChoiceGroup, init: InitContext) {
    const { rows } = choices
    this.beta = drawn([rows], () => 1e-3 * init.generator.normal(), init)
    const apart = new Float32Array(rows * rows).fill(Number.NEGATIVE_INFINITY)
    for (const node of nodesOf(choices))
      for (const one of node.rows) for (const other of node.rows) apart[one * rows + other] = 0
    this.#apart = tidy(() => keep(to(Tensor.from(apart, [rows, rows]), { device: init.device })))
  }

  /** The softmax of beta over the edges into each node: [rows]. */
  weights(): Tensor {
    return tidy(() => call('aten::diagonal', softmax(add(this.#apart, this.beta), 1)))
  }

  dispose(): void {
    this.beta.dispose()
    this.#apart.dispose()
  }
}

class PcDarts<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #warmUp: number
  readonly #alphas: Alphas
  /** Of the decisions between candidates; weights of inputs are edge weights themselves. */
  readonly #edges: ReadonlyMap<string, EdgeWeights>
  #rests = false

  constructor(context: StrategyContext<Architecture>, settings: PcDartsSettings) {
    const { space, init, epochs } = context
    this.#context = context
    this.#warmUp = Math.round(settings.pcDarts.warmUp * epochs)
    const sampled = space.choices.filter(({ run }) => run === 'sampled')
    this.#edges = new Map(sampled.map((group) => [group.name, new EdgeWeights(group, init)]))
    const betas = new Map([...this.#edges].map(([name, { beta }]) => [`beta.${name}`, beta]))
    this.#alphas = new Alphas(space.choices, init, settings, betas)
  }

  prepareStep({ epoch }: Progress): void {
    this.#rests = epoch < this.#warmUp
  }

  archStep(context: StepContext, _train: Batch, valid: Batch): Outcome | undefined {
    if (this.#rests) return undefined
    return this.#alphas.follow(context, (name) => this.archWeights(name), valid)
  }

  /** `alpha.<group>` and `beta.<group>`. */
  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  archWeights(name: string): ArchWeights {
    const group = this.#alphas.group(name)
    const rows = this.#edges.get(name)?.weights()
    if (rows === undefined) return group.archWeights()
    const weights = mul(softmax(group.alpha, 1), reshape(rows, [-1, 1]))
    return { ...group.archWeights(weights), rows }
  }

  derive(): Architecture {
    return this.#context.space.decode(this.scores().values)
  }

  scores(): ArchScores {
    const values = this.#context.space.choices.map(
      ({ name }) => [name, tidy(() => this.archWeights(name).weights.matrix())] as const,
    )
    return { values: new Map(values) }
  }

  get graphKey(): string {
    return this.#rests ? 'weights alone' : 'pc-darts'
  }

  state(): StateDict {
    return this.#alphas.state()
  }

  load(state: StateDict): void {
    this.#alphas.load(state)
  }

  dispose(): void {
    this.#alphas.dispose()
    for (const edges of this.#edges.values()) edges.dispose()
  }
}

/** PC-DARTS for the registry. */
export const pcDarts: StrategyDefinition<PcDartsSettings> = {
  name: 'pc-darts',
  settings: pcDartsSettings,
  // of 50 epochs 15
  defaults: () => ({
    pcDarts: { warmUp: 0.3 },
    archOptimizer: { ...usualArchOptimizer.archOptimizer, lr: 6e-4 },
  }),
  networkRecipe: () => ({ partialChannels: 4 }),
  published: (space): Readonly<Record<string, number>> => {
    const both = { 'network.partialChannels': 4, 'archOptimizer.lr': 6e-4 }
    const weights = { 'data.batch': 256, 'weightOptimizer.lr': 0.1, 'weightOptimizer.minLr': 0 }
    return space.name === 'darts' ? { ...both, ...weights, epochs: 50, 'pcDarts.warmUp': 0.3 } : {}
  },
  weightRecipe: nasbench201Weights,
  cannotSearch: ({ partialChannels }) =>
    partialChannels ? undefined : 'its candidates see all channels, or nobody says that they can see a part',
  warnings: ({ pcDarts: { warmUp } }) =>
    warmUp === 1
      ? ['pcDarts.warmUp 1: alpha rests all the time, and the architecture is drawn by chance']
      : [],
  describe: ({ pcDarts: { warmUp } }) => `alpha rests for ${warmUp} of the epochs`,
  create: (context, settings) => new PcDarts(context, settings),
}
