/**
 * DDSAS (Algorithm 1): subspaces sampled by upper exploration bound, and gradient descent on space parameters zeta and
 * architecture parameters alpha inside each, for M steps.
 */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import {
  Adam,
  type AdamOptions,
  type ArchWeights,
  type ArchWeightsOf,
  checkInitContext,
  drawn,
  type InitContext,
  loadTensors,
  type Network,
  sampledIndex,
} from '../../nn/index.ts'
import { type CellType, cellTypes, type Genotype } from '../../spaces/darts/genotype.ts'
import { type CellSpace, edgeCount } from '../../spaces/darts/space.ts'
import { maskTensor, mixingWeights } from '../../spaces/mixing-weights.ts'
import {
  countCorrect,
  crossEntropy,
  detach,
  grad,
  keep,
  setRequiresGrad,
  type Tensor,
  tidy,
} from '../../torch/index.ts'
import type { Batch, Outcome, Progress, SpaceReport, StateDict, Strategy } from '../strategy.ts'
import { changeSpace, describeChange, type SpaceChange } from './elastic.ts'
import { type EdgeMask, type Mixture, rawWeights } from './mixture.ts'
import { chooseEdges, closeWindow, emptyMemory, type SamplingState } from './saliency.ts'
import { activeOperations, sampleSubspace, subspaceSizeRange } from './subspace.ts'
import { ucbScores } from './ucb.ts'

/** Where the paper and the published code differ. The published results come from the code: `authors-code`. */
export const variants = {
  'authors-code': {
    /** c in the upper exploration bound. */
    exploration: 1.44,
    /** Initial t and T. With 1, saliency is the sum over (windows + 1). */
    prior: 1,
    /** Whether `none` takes one of the L places. */
    noneCounts: false,
    /** Whether the step counter that opens windows restarts each epoch. */
    restartEachEpoch: true,
    /** Whether the last window of a run is credited. */
    creditLastWindow: false,
  },
  paper: {
    exploration: Math.SQRT2,
    prior: 0,
    noneCounts: true,
    restartEachEpoch: false,
    creditLastWindow: true,
  },
} as const

export type VariantName = keyof typeof variants

export interface DdsasOptions {
  readonly variant: VariantName
  /** L: operations of a subspace, over all edges of a cell type. */
  readonly subspace: number
  /** M: steps in a subspace. */
  readonly window: number
  /** Weight of an operation: `simple` p q (Eq. 7), `joint` the whole of Eq. (9). */
  readonly mixture: Mixture
  readonly optimizer: AdamOptions
  /** What happens to the space at the start of which epoch. */
  readonly changes: readonly { readonly epoch: number; readonly change: SpaceChange }[]
}

const optionsSchema = z.object({
  variant: z.enum(Object.keys(variants)),
  // its range is the space's, and is checked with it
  subspace: z.unknown(),
  window: z.int().positive(),
  mixture: z.enum(['simple', 'joint']),
  optimizer: z.object({
    lr: z.number(),
    betas: z.tuple([z.number(), z.number()]),
    weightDecay: z.number(),
  }),
  changes: z.array(z.object({ epoch: z.number(), change: z.object({ kind: z.string() }) })),
})

const supernetSchema = z.object({ program: z.object({ states: z.array(z.unknown()) }) })
const spaceSchema = z.object({ operations: z.record(z.string(), z.unknown()), nodes: z.int() })

/** Alpha and zeta of one cell type, float32 [edges, operations], ~ 1e-3 N(0, 1) at first. */
interface CellParameters {
  readonly alpha: Tensor
  readonly zeta: Tensor
}

/** What runs in a window, on the device. */
interface Subspace {
  readonly mask: EdgeMask
  readonly active: readonly (readonly number[])[]
  /** The mask, bool [edges, operations]. */
  readonly sampled: Tensor
  readonly index: Tensor
}

function disposeSubspace({ sampled, index }: Subspace): void {
  sampled.dispose()
  index.dispose()
}

const edgeNumbers = z.array(z.array(z.number()))
const edgeMask = z.array(z.array(z.boolean()))
const memorySchema = z.object({
  saliency: edgeNumbers,
  pulls: edgeNumbers,
  mask: edgeMask,
  available: edgeMask,
})
const stateSchema = z.object({
  totalPulls: z.number(),
  adamSteps: z.number(),
  memory: z.object({ normal: memorySchema, reduce: memorySchema }),
})

/** Throws DdsasError 'input' with the allowed range when L does not fit the space. */
function checkSubspace(size: number, edges: number, operations: number): void {
  const [smallest, largest] = subspaceSizeRange(edges, operations)
  if (!Number.isInteger(size) || size < smallest || size > largest)
    throw new DdsasError(
      'input',
      `L = ${size} does not fit this space: set subspace to ${smallest} … ${largest}`,
    )
}

export class Ddsas implements Strategy {
  readonly #operations: readonly string[]
  readonly #nodes: number
  readonly #supernet: Network
  readonly #options: DdsasOptions
  readonly #none: number
  readonly #parameters: Record<CellType, CellParameters>
  readonly #adam: Adam
  #memory: Record<CellType, SamplingState>
  readonly #subspaces = new Map<CellType, Subspace>()
  /** T: how many samplings there were, plus the variant's prior. */
  #totalPulls: number
  #samplings = 0

  constructor(space: CellSpace, supernet: Network, options: DdsasOptions, context: InitContext) {
    checkGiven(spaceSchema, space, 'Ddsas', 'space')
    checkGiven(supernetSchema, supernet, 'Ddsas', 'supernet')
    checkGiven(optionsSchema, options, 'Ddsas', 'options')
    checkInitContext(context, 'Ddsas')
    this.#operations = Object.keys(space.operations)
    this.#nodes = space.nodes
    const edges = edgeCount(space)
    const operations = this.#operations.length
    checkSubspace(options.subspace, edges, operations)
    const { prior } = variants[options.variant]
    const small = () => drawn([edges, operations], () => 1e-3 * context.generator.normal(), context)
    const parameters = () => ({ alpha: small(), zeta: small() })
    this.#supernet = supernet
    this.#options = options
    this.#none = this.#operations.indexOf('none')
    this.#parameters = { normal: parameters(), reduce: parameters() }
    this.#adam = new Adam(this.parameters(), options.optimizer)
    this.#memory = {
      normal: emptyMemory(edges, operations, prior),
      reduce: emptyMemory(edges, operations, prior),
    }
    this.#totalPulls = prior
  }

  /** `alpha.normal`, `zeta.normal`, `alpha.reduce`, `zeta.reduce`, each float32 [edges, operations]. */
  parameters(): Map<string, Tensor> {
    return new Map(
      cellTypes.flatMap((cell) => {
        const { alpha, zeta } = this.#parameters[cell]
        return [[`alpha.${cell}`, alpha] as const, [`zeta.${cell}`, zeta] as const]
      }),
    )
  }

  /** What the search remembers of a cell type: saliency, pulls, mask, available operations. */
  memory(cell: CellType): SamplingState {
    return this.#memory[cell]
  }

  beginEpoch(epoch: number): SpaceReport | undefined {
    const changes = this.#options.changes.filter(({ epoch: when }) => when === epoch)
    if (changes.length === 0) return undefined
    const before = this.#memory
    for (const { change } of changes) this.changeSpace(change)
    const report = (cell: CellType) =>
      describeChange(before[cell].available, this.#memory[cell].available, this.#operations)
    return { normal: report('normal'), reduce: report('reduce') }
  }

  /**
   * Deletes operations from the space, or adds some, for both cell types. A window that is open goes on as it was sampled:
   * with the variant `paper`, whose windows do not end with an epoch, a deleted operation runs for less than M steps more.
   * It is credited with them, which decides nothing: neither sampling nor the genotype takes what is not available.
   */
  changeSpace(change: SpaceChange): void {
    this.#forEachCell((memory) => ({
      ...memory,
      available: changeSpace(memory.available, memory.saliency, change, this.#none),
    }))
  }

  beginStep(progress: Progress): void {
    if (this.#opensWindow(progress)) this.openWindow()
  }

  #opensWindow(progress: Progress): boolean {
    const { restartEachEpoch } = variants[this.#options.variant]
    return (restartEachEpoch ? progress.step : progress.globalStep) % this.#options.window === 0
  }

  /** Closes the window that ends, and samples the next subspace of each cell type. */
  openWindow(): void {
    this.#closeWindow()
    const { exploration, noneCounts } = variants[this.#options.variant]
    const rule = { size: this.#options.subspace, none: this.#none, noneCounts }
    this.#forEachCell((memory, cell) => {
      const zeta = this.#parameters[cell].zeta.matrix()
      const scores = ucbScores(zeta, memory.pulls, this.#totalPulls, exploration)
      return { ...memory, mask: sampleSubspace(scores, zeta, memory.available, rule) }
    })
    this.#totalPulls += 1
    this.#samplings += 1
  }

  get graphKey(): string {
    return String(this.#samplings)
  }

  #closeWindow(): void {
    this.#forEachCell((memory, cell) => {
      if (!memory.mask.flat().includes(true)) return memory
      const { alpha, zeta } = this.#parameters[cell]
      return closeWindow(
        memory,
        rawWeights(alpha.matrix(), zeta.matrix(), memory.mask, this.#options.mixture),
      )
    })
  }

  #forEachCell(next: (memory: SamplingState, cell: CellType) => SamplingState): void {
    this.#memory = {
      normal: next(this.#memory.normal, 'normal'),
      reduce: next(this.#memory.reduce, 'reduce'),
    }
  }

  /** One step of Adam on alpha and zeta; the weights take part as constants. */
  update(_train: Batch, valid: Batch): Outcome {
    const parameters = [...this.parameters().values()]
    return tidy(() => {
      setRequiresGrad(parameters, true)
      const archWeights: ArchWeightsOf = (group) => this.archWeights(group)
      const { logits } = this.#supernet.forward(valid.images, { training: true, archWeights })
      const loss = crossEntropy(logits, valid.labels)
      const gradients = grad(loss, parameters)
      setRequiresGrad(parameters, false)
      this.#adam.step(gradients)
      return { loss: detach(loss), correct: countCorrect(logits, valid.labels) }
    })
  }

  archWeights(group: string): ArchWeights {
    const cell = group === 'normal' ? 'normal' : 'reduce'
    const { alpha, zeta } = this.#parameters[cell]
    const { sampled, active, index } = this.#subspaceOf(cell)
    return { weights: mixingWeights(alpha, zeta, sampled, this.#options.mixture), sampledOps: active, index }
  }

  /** The mask of a cell type as tensors; made once for a window. */
  #subspaceOf(cell: CellType): Subspace {
    const { mask } = this.#memory[cell]
    const known = this.#subspaces.get(cell)
    if (known?.mask === mask) return known
    if (known) disposeSubspace(known)
    const { device } = this.#parameters[cell].alpha
    const active = activeOperations(mask, this.#none)
    const index = keep(sampledIndex(active, mask[0].length, device))
    const made = { mask, active, sampled: keep(maskTensor(mask, device)), index }
    this.#subspaces.set(cell, made)
    return made
  }

  genotype(): Genotype {
    const concat = Array.from({ length: this.#nodes }, (_, node) => node + 2)
    const cell = (type: CellType) =>
      chooseEdges(this.#memory[type].saliency, this.#memory[type].available, this.#none)
        .flat()
        .map(({ input, operation }) => [this.#operations[operation], input] as const)
    return { normal: cell('normal'), normal_concat: concat, reduce: cell('reduce'), reduce_concat: concat }
  }

  finish(): void {
    if (variants[this.#options.variant].creditLastWindow) this.#closeWindow()
  }

  state(): StateDict {
    const optimizer = [...this.#adam.state()].map(([name, tensor]) => [`adam.${name}`, tensor] as const)
    const data = { totalPulls: this.#totalPulls, adamSteps: this.#adam.steps, memory: this.#memory }
    return { tensors: new Map([...this.parameters(), ...optimizer]), data }
  }

  load(state: StateDict): void {
    const parsed = stateSchema.safeParse(state.data)
    if (!parsed.success)
      throw new DdsasError(
        'checkpoint',
        `the state of the strategy is malformed: ${parsed.error.issues[0].message}`,
      )
    const { totalPulls, adamSteps, memory } = parsed.data
    this.#checkMemory(memory)
    const adam = [...state.tensors].filter(([name]) => name.startsWith('adam.'))
    const parameters = [...state.tensors].filter(([name]) => !name.startsWith('adam.'))
    loadTensors(this.parameters(), new Map(parameters), 'the state of the strategy')
    this.#adam.load(new Map(adam.map(([name, tensor]) => [name.slice('adam.'.length), tensor])), adamSteps)
    this.#memory = memory
    this.#totalPulls = totalPulls
    this.#samplings += 1
  }

  /** Every matrix of a saved memory must be [edges, operations]. */
  #checkMemory(saved: Record<CellType, SamplingState>): void {
    const sizes = (matrix: readonly (readonly unknown[])[]) => matrix.map((row) => row.length).join()
    for (const cell of cellTypes)
      for (const [name, matrix] of Object.entries(saved[cell]))
        if (sizes(matrix) !== sizes(this.#memory[cell].mask))
          throw new DdsasError(
            'checkpoint',
            `${name} of the ${cell} cell is that of another space; resume with its own`,
          )
  }

  dispose(): void {
    for (const subspace of this.#subspaces.values()) disposeSubspace(subspace)
    this.#subspaces.clear()
    for (const tensor of this.parameters().values()) tensor.dispose()
    this.#adam.dispose()
  }
}
