/** How a supernet is searched: the one interface of all strategies, and the row that makes one known. */
import type { z } from 'zod'
import type {
  ArchWeights,
  ArchWeightsOf,
  Batch,
  Dropout,
  Gradients,
  InitContext,
  Network,
  Outcome,
  Progress,
  Sgd,
} from '../nn/index.ts'
import type { Available, Picks, Scores, SearchSpace, SupernetOptions } from '../spaces/space.ts'
import type { Tensor } from '../torch/index.ts'
import type { SpaceChange } from './shared/space-change.ts'

export type { Batch, Outcome, Progress, SpaceChange }

/** The state of a strategy as a checkpoint holds it: tensors by name, and plain data. */
export interface StateDict {
  readonly tensors: ReadonlyMap<string, Tensor>
  readonly data: Readonly<Record<string, unknown>>
}

/** How the space of one group of decisions changed. */
export interface GroupChange {
  /** How many candidates of all rows are available now. */
  readonly available: number
  /** In how many rows a candidate was deleted, or added, by its name; the others are left out. */
  readonly deleted: Readonly<Record<string, number>>
  readonly added: Readonly<Record<string, number>>
}

/** How the space changed, by group. */
export type SpaceReport = Readonly<Record<string, GroupChange>>

/** What is added to the loss of an architecture step, a scalar that follows the weights of that step: of limits on the network. */
export type Penalty = (archWeights: ArchWeightsOf) => Tensor

/** What an architecture step may use of the search: the supernet of this stage, and how its weights are trained. */
export interface StepContext {
  readonly supernet: Network
  /** Of the weights; a strategy that moves them puts them back. */
  readonly weightOptimizer: Sgd
  /** Of the weights in this epoch. */
  readonly lr: number
  /** The most images that are computed at a time, by `lossGradients`; all where it is 0, or not said. */
  readonly microBatch?: number
  /** Where limits are to steer the search: for `lossGradients`, or to be added to one's own loss. */
  readonly penalty?: Penalty | undefined
  /** What layers `dropout` leave out: for `lossGradients`. */
  readonly dropout?: Dropout | undefined
}

/** How a part of the supernet does on validation images, by the statistics of each batch. */
export interface Score {
  /** Mean cross entropy. */
  readonly loss: number
  /** 0 … 1. */
  readonly accuracy: number
}

/** Measures on the validation images that accuracy is measured on, or on their first `images`. */
export type Evaluate = (weights: ArchWeightsOf, images?: number) => Promise<Score>

/** Measures on the validation batch that comes next, which is then used up. */
export type MeasureNext = (weights: ArchWeightsOf) => Promise<Score>

/** How much each candidate speaks for itself, and which may be picked; all where that is not said. */
export interface ArchScores {
  readonly values: Scores
  readonly available?: Available | undefined
}

/** An architecture, and how the supernet does that runs it alone. */
export interface Ranked<Architecture = unknown> extends Score {
  readonly architecture: Architecture
}

/** When an architecture is derived. */
export interface Occasion {
  /** Whether the search ends with it: what is picked now is what is kept. */
  readonly last: boolean
  /** Told how many of the candidates were measured, where that is how one is picked. */
  readonly progress?: ((done: number, total: number) => void) | undefined
}

/** Derived for oneself, between epochs. */
export const usualOccasion: Occasion = { last: false }

/** The loop in `search/search.ts` owns data, the weights' optimizer, clipping, logging and resume. */
export interface Strategy<Architecture = unknown> {
  /** Called before the first step of an epoch: spaces may shrink or grow. Says how, where one did. */
  beginEpoch?(epoch: number): SpaceReport | undefined
  /**
   * Present where the space can be changed by hand while a search runs: changes it and says how. Throws DdsasError 'input'
   * where the change cannot be made in the space as it is now, and then changes nothing.
   */
  changeSpace?(change: SpaceChange): SpaceReport
  /** Whether the next step opens a window: changes by hand are made just before. Before any step unless given. */
  opensWindow?(progress: Progress): boolean
  /** Called before each step: what the host does for it, such as to sample which candidates run. */
  prepareStep(progress: Progress): void
  /**
   * Moves the architecture parameters by a batch of each half; says how the validation batch fared, or nothing where a
   * method has no such step.
   */
  archStep(context: StepContext, train: Batch, valid: Batch): Outcome | undefined
  /** What it moves, by names such as `alpha.normal`; nothing where there is none. */
  parameters?(): ReadonlyMap<string, Tensor>
  /**
   * Present where the architecture follows the loss of the weight step, one forward and backward pass for both: moves `parameters`
   * by their gradients of it, in their order, after the weights moved. `archWeights` then follows the parameters in `train`.
   */
  stepWithWeights?(gradients: Gradients): void
  /** What layers `dropout` of the supernet leave out in a weight step; where absent, nothing. The state of its generator is the strategy's. */
  readonly dropout?: Dropout | undefined
  /** Weights and sampled candidates of a group for a forward pass; `eval`: to measure accuracy, and never samples. */
  archWeights(group: string, mode: 'train' | 'eval'): ArchWeights
  /**
   * Called after the last step of an epoch, before `derive`: trains what picks architectures by validation batches, where that is not
   * done step by step. `measureNext` may throw where the user stops the search; the call then comes again, with what is left to do.
   */
  endEpoch?(measureNext: MeasureNext, progress?: Occasion['progress']): Promise<void>
  /** The architecture this search would pick now, at every epoch's end, and between where limits steer; some methods rank candidates by `evaluate`. */
  derive(evaluate: Evaluate, occasion?: Occasion): Architecture | Promise<Architecture>
  /** What the search has learnt of the candidates so far, where it scores them: what `derive` decodes, or draws from. */
  scores?(): ArchScores
  /** Where `derive` ranks candidates: those it ranked last, the best first; none before. */
  ranked?(): readonly Ranked<Architecture>[]
  /**
   * Present where a step computes on tensors alone and looks at none of their values: on a GPU it is then recorded and
   * replayed. Changes when other candidates run than before: a step recorded under another key is not replayed.
   */
  readonly graphKey?: string
  /** Called after the last step of the search; `at`: where it then stands. */
  finish?(at: Progress): void
  /**
   * What is to be kept of a window, or whatever a method decides in, that has ended: plain data, a line of `windows.jsonl`.
   * Called after each step and after `finish`; hands a record over once. A resumed search must make the same to the byte.
   */
  takeRecord?(): Readonly<Record<string, unknown>> | undefined
  state(): StateDict
  /** Throws DdsasError 'checkpoint' where the state is none of this strategy in this space. */
  load(state: StateDict): void
  dispose(): void
}

/** The memory that a strategy keeps to whose subspaces are filled up to it. */
export interface SubspaceBudget {
  /** Bytes of tensors at the peak of a search where these candidates run, by group. */
  predict(runs: Picks): number
  /** Bytes that a subspace may take that is sampled now. */
  allowed(): number
}

/** What a strategy is made of, besides its settings. */
export interface StrategyContext<Architecture = unknown> {
  readonly space: SearchSpace<Architecture>
  /** Device and random stream of its parameters; the supernet's weights were drawn from the same stream before. */
  readonly init: InitContext
  /** The search's, for streams of its own. */
  readonly seed: number
  /** How many the search has, for schedules. */
  readonly epochs: number
  /** Where settings say that subspaces are filled up to what `memory.limit` allows. */
  readonly memory?: SubspaceBudget | undefined
}

/** How long a search is, for checks and warnings. */
export interface Schedule {
  readonly epochs: number
  readonly stepsPerEpoch: number
}

/** How the supernet's weights were trained where a method was published for a space, as far as that differs from the usual. */
export interface WeightRecipe {
  readonly nesterov?: boolean
  readonly weightDecay?: number
}

/**
 * How the supernet was built where a method was published for a space, as far as that differs from the usual. Searches smaller than
 * those of the space stay so.
 */
export type NetworkRecipe = Partial<Pick<SupernetOptions, 'channels' | 'cells' | 'partialChannels'>>

/** A search as far as its stages depend on it, besides its strategy's settings. */
export interface StagedSearch {
  readonly space: SearchSpace
  readonly epochs: number
  /** Of the supernet, as settings say. */
  readonly cells: number
  /** Images of a batch, as settings say. */
  readonly batch: number
}

/** Epochs with another supernet than settings say, or other batches: of progressive methods. */
export interface Stage {
  /** The first epoch, from 0; it lasts until the next stage. */
  readonly from: number
  /** What of the supernet is otherwise. Where that is not as in the stage before, it is built anew, with new weights and a schedule of learning rates of its own. */
  readonly network?: Partial<Omit<SupernetOptions, 'classes' | 'stem'>>
  /** A supernet that is built anew takes over the weights of the one before, grown to their new shapes, and its schedule goes on. */
  readonly carriesWeights?: boolean
  /** Images of a batch. */
  readonly batch?: number
}

/** A strategy as the registry knows it; `Settings`: those of a configuration that are the strategy's own. */
export interface StrategyDefinition<Settings = never> {
  readonly name: string
  /** Its settings at the top of a configuration, by name. */
  readonly settings: Readonly<Record<string, z.ZodType>>
  /** As published for a space, else the usual ones. */
  defaults(space: SearchSpace): Settings
  /** SGD on the weights as published with it for a space, where that is not the usual one. */
  weightRecipe?(space: SearchSpace): WeightRecipe
  /** The supernet as published with it for a space, where that is not the usual one. */
  networkRecipe?(space: SearchSpace): NetworkRecipe
  /**
   * The stages of a search, in their order; before the first, and where there is none, all is as settings say. `Strategy.beginEpoch` is
   * called once a stage has begun.
   */
  stages?(settings: Settings, search: StagedSearch): readonly Stage[]
  /** Settings it was published with for a space, by their keys (`epochs`, `data.batch`): a whole search is so long; searches with others say so. */
  published?(space: SearchSpace): Readonly<Record<string, number>>
  /** Why it cannot search a space; undefined, as where it is absent: it can. */
  cannotSearch?(space: SearchSpace): string | undefined
  /** Throws DdsasError 'input' for settings that a space or a number of epochs does not allow. */
  check?(settings: Settings, space: SearchSpace, epochs: number): void
  /** What can be foreseen to disappoint. */
  warnings?(settings: Settings, schedule: Schedule, space: SearchSpace): string[]
  /** "L = 28, M = 30" for the line a search begins with. */
  describe?(settings: Settings): string
  /** L, where the cost of a step depends on how many candidates are sampled; `plan` measures several. */
  readonly subspace?: {
    range(space: SearchSpace): readonly [smallest: number, largest: number]
    /** From which L on every candidate runs. */
    whole(settings: Settings, space: SearchSpace): number
    of(settings: Settings): number
    with(settings: Settings, size: number): Settings
    /** Present where a subspace can be filled up to what `memory.limit` allows instead, and `StrategyContext.memory` is then used. */
    readonly byMemory?: {
      of(settings: Settings): boolean
      with(settings: Settings): Settings
    }
  }
  create<Architecture>(context: StrategyContext<Architecture>, settings: Settings): Strategy<Architecture>
}
