/**
 * DDSAS (Algorithm 1): subspaces sampled by upper confidence bound, and gradient descent on space parameters zeta and
 * architecture parameters alpha inside each, for M steps.
 */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import { type ArchWeights, type ArchWeightsOf, checkInitContext, loadTensors } from '../../nn/index.ts'
import type { SearchSpace } from '../../spaces/space.ts'
import { type Tensor, tidy } from '../../torch/index.ts'
import { AlphaGroup } from '../shared/alphas.ts'
import { ArchOptimizer, lossGradients } from '../shared/arch-optimizer.ts'
import { describeChange } from '../shared/group-change.ts'
import { stateData } from '../shared/state.ts'
import type {
  ArchScores,
  Batch,
  Evaluate,
  Occasion,
  Outcome,
  Progress,
  SpaceChange,
  SpaceReport,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
  SubspaceBudget,
} from '../strategy.ts'
import { usualOccasion } from '../strategy.ts'
import { followed } from './alpha-gradients.ts'
import { memoryOf, sampleByMemory } from './by-memory.ts'
import { changeSpace, checkChange, type ElasticChange } from './elastic.ts'
import { betaDecayAt, type ExtendedSettings } from './extended.ts'
import { SampledGroup, samplingState, type Values } from './group.ts'
import { maskingState } from './masking.ts'
import { type Selection, selectionOf } from './selection.ts'
import {
  checkNewSettings,
  checkSettings,
  type DdsasSettings,
  ddsasSettings,
  defaultSettings,
  explorationIn,
  extendedOf,
  sampledGroups,
  settingsWarnings,
  subspaceRange,
  variants,
  wholeSubspace,
} from './settings.ts'
import { WindowLog } from './window-log.ts'
import { type WindowLine, type WindowMemory, windowOpening } from './window-record.ts'

const stateSchema = z.object({
  totalPulls: z.number(),
  adamSteps: z.number(),
  groups: z.record(z.string(), samplingState),
  // none before the first window
  window: windowOpening.optional(),
  // where the architecture is chosen by masking, once that has begun
  masked: maskingState.optional(),
})

export class Ddsas<Architecture> implements Strategy<Architecture> {
  readonly #space: SearchSpace<Architecture>
  readonly #settings: DdsasSettings['ddsas']
  readonly #extended: ExtendedSettings
  readonly #epochs: number
  readonly #variant: (typeof variants)[keyof typeof variants]
  readonly #sampled: ReadonlyMap<string, SampledGroup>
  /** Groups of which all candidates run: inputs and outputs of blocks. */
  readonly #whole: ReadonlyMap<string, AlphaGroup>
  readonly #optimizer: ArchOptimizer
  /** Where masking chooses the architecture at the end. */
  readonly #selection: Selection<Architecture> | undefined
  /** What subspaces are filled up to, where that is not L. */
  readonly #memory: SubspaceBudget | undefined
  /** T: how many samplings there were, plus the variant's prior. */
  #totalPulls: number
  #samplings = 0
  #epoch = 0
  readonly #windows = new WindowLog()

  /** Throws DdsasError 'input' for an L that does not fit the space. */
  constructor({ space, init, memory, epochs }: StrategyContext<Architecture>, settings: DdsasSettings) {
    checkGiven(z.object(ddsasSettings), settings, 'ddsas', 'settings')
    checkSettings(settings, space, Number.POSITIVE_INFINITY)
    checkInitContext(init, 'ddsas')
    this.#space = space
    this.#settings = settings.ddsas
    this.#extended = extendedOf(settings.ddsas)
    this.#epochs = epochs
    this.#memory = memoryOf(settings, memory)
    this.#variant = variants[settings.ddsas.variant]
    const { prior } = this.#variant
    const byGradient = this.#extended.reward === 'gradient'
    this.#sampled = new Map(
      sampledGroups(space).map((group) => [group.name, new SampledGroup(group, prior, init, byGradient)]),
    )
    const whole = space.choices.filter(({ run }) => run === 'all')
    this.#whole = new Map(whole.map((group) => [group.name, new AlphaGroup(group, init)]))
    const groups = [...this.#sampled.values(), ...this.#whole.values()]
    this.#selection = selectionOf(space, { sampled: this.#sampled, whole: this.#whole }, settings.ddsas)
    this.#optimizer = new ArchOptimizer(new Map(groups.flatMap(({ parameters }) => parameters)), settings)
    this.#totalPulls = prior
  }

  /** `alpha.<group>` and `zeta.<group>`, each float32 [rows, candidates]. */
  parameters(): Map<string, Tensor> {
    return this.#optimizer.parameters
  }

  /** What is remembered of a group of decisions: saliency, pulls, mask, available operations. */
  memory(name: string): SampledGroup['state'] {
    return this.#group(name).state
  }

  #group(name: string): SampledGroup {
    const group = this.#sampled.get(name)
    if (group !== undefined) return group
    throw new DdsasError(
      'input',
      `the space '${this.#space.name}' has no group of decisions '${name}' to sample`,
    )
  }

  beginEpoch(epoch: number): SpaceReport | undefined {
    const changes = this.#settings.changes.filter(({ epoch: when }) => when === epoch)
    return changes.length === 0 ? undefined : this.#change(changes.map(({ change }) => change))
  }

  /** As a schedule does, for all groups. */
  changeSpace(change: SpaceChange): SpaceReport {
    checkChange(
      change,
      [...this.#sampled.values()].map(({ choices, state: { available } }) => ({ ...choices, available })),
    )
    return this.#change([change])
  }

  /**
   * A window that is open goes on as it was sampled: with the variant `paper`, whose windows do not end with an epoch, a
   * deleted operation runs for less than M steps more. It is credited with them, which decides nothing: neither sampling nor
   * the architecture takes what is not available.
   */
  #change(changes: readonly ElasticChange[]): SpaceReport {
    const before = this.#each(({ state }) => state.available)
    const { sparesUnsampled, prior } = this.#variant
    for (const group of this.#sampled.values()) {
      const { zeta: estimates } = group.values()
      for (const change of changes) {
        const standing = { ...group.state, estimates }
        const available = changeSpace(standing, change, group.choices, sparesUnsampled ? prior : undefined)
        group.state = { ...group.state, available }
      }
    }
    return this.#each(({ choices, state }) =>
      describeChange(before[choices.name], state.available, choices.candidates),
    )
  }

  #each<Value>(of: (group: SampledGroup) => Value): Record<string, Value> {
    return Object.fromEntries([...this.#sampled].map(([name, group]) => [name, of(group)]))
  }

  opensWindow(at: Progress): boolean {
    const step = this.#variant.restartEachEpoch ? at.step : at.globalStep
    return step % this.#settings.window === 0
  }

  prepareStep(at: Progress): void {
    this.#epoch = at.epoch
    this.#selection?.masking.forget()
    if (this.opensWindow(at)) this.openWindow(at)
  }

  /** Closes the window that ends, and samples the next subspace of each group; `at`: where their records place that. */
  openWindow(at: Pick<Progress, 'epoch' | 'globalStep'> = { epoch: 0, globalStep: 0 }): void {
    const values = this.#each((group) => group.values())
    this.#credit(values)
    this.#endRecord(at.globalStep, { credited: true, last: false })
    const exploration = explorationIn(this.#settings, at.epoch, this.#epochs)
    const memory = this.#sample(values, exploration)
    this.#windows.open(at, this.#sampled, { values, memory, exploration, totalPulls: this.#totalPulls })
    this.#totalPulls += 1
    this.#samplings += 1
  }

  /** The next subspace of each group, by L or by memory; says how much, where by that. */
  #sample(values: Readonly<Record<string, Values>>, exploration: number): WindowMemory | undefined {
    const { noneCounts } = this.#variant
    const constants = { exploration, totalPulls: this.#totalPulls }
    if (this.#memory !== undefined)
      return sampleByMemory([...this.#sampled.values()], values, constants, noneCounts, this.#memory)
    const sampling = { size: this.#settings.subspace, noneCounts, ...constants }
    for (const [name, group] of this.#sampled) group.sample(values[name], sampling)
    return undefined
  }

  #credit(values: Readonly<Record<string, Values>>): void {
    const { mixture } = this.#settings
    const { saliencyDecay } = this.#extended
    for (const [name, group] of this.#sampled) group.credit(values[name], mixture, saliencyDecay)
  }

  get graphKey(): string {
    return String(this.#samplings)
  }

  /** One step of Adam on alpha and zeta; the weights take part as constants. */
  archStep(context: StepContext, _train: Batch, valid: Batch): Outcome {
    const parameters = [...this.parameters().values()]
    const archWeights: ArchWeightsOf = (group) => this.archWeights(group)
    return tidy(() => {
      const { gradients, outcome } = lossGradients(context.supernet, parameters, archWeights, valid, context)
      const lambda = betaDecayAt(this.#extended, this.#epoch, this.#epochs)
      this.#optimizer.step(followed(gradients, parameters, this.#sampled, lambda))
      return outcome
    })
  }

  /** Eq. (7) in the open window's subspace, also where accuracy is measured. */
  archWeights(name: string): ArchWeights {
    return this.#whole.get(name)?.archWeights() ?? this.#group(name).archWeights(this.#settings.mixture)
  }

  derive(): Architecture
  derive(evaluate: Evaluate, occasion?: Occasion): Architecture | Promise<Architecture>
  derive(evaluate?: Evaluate, occasion = usualOccasion): Architecture | Promise<Architecture> {
    const selection = this.#selection
    if (selection === undefined || evaluate === undefined || !occasion.last) return this.#decoded()
    return selection.measure(evaluate, occasion).then(() => this.#decoded())
  }

  #decoded(): Architecture {
    const { values, available } = this.scores()
    return this.#space.decode(values, available)
  }

  /** Saliency; at the end what masking found, where that chooses. */
  scores(): ArchScores {
    const found = this.#selection?.scores()
    const whole = [...this.#whole].map(([name, { scores }]) => [name, scores] as const)
    if (found) return { ...found, values: new Map([...found.values, ...whole]) }
    const sampled = [...this.#sampled].map(([name, { scores }]) => [name, scores] as const)
    const pickable = this.#each((group) => group.pickable)
    return { values: new Map([...sampled, ...whole]), available: new Map(Object.entries(pickable)) }
  }

  finish(at: Progress): void {
    const credited = this.#variant.creditLastWindow
    if (credited) this.#credit(this.#each((group) => group.values()))
    this.#endRecord(at.globalStep, { credited, last: true })
  }

  #endRecord(closed: number, end: { readonly credited: boolean; readonly last: boolean }): void {
    this.#windows.end({ closed, ...end, architecture: this.#decoded() }, this.#sampled)
  }

  takeRecord(): WindowLine | undefined {
    return this.#windows.take()
  }

  state(): StateDict {
    const data: z.infer<typeof stateSchema> = {
      totalPulls: this.#totalPulls,
      adamSteps: this.#optimizer.steps,
      groups: this.#each(({ state }) => samplingState.parse(state)),
      window: this.#windows.opening,
    }
    const masked = this.#selection?.masking.state ?? []
    const own = [...this.#sampled.values()].flatMap(({ tensors }) => tensors)
    return {
      tensors: new Map([...this.#optimizer.tensors(), ...own]),
      data: masked.length > 0 ? { ...data, masked } : data,
    }
  }

  load(saved: StateDict): void {
    const { totalPulls, adamSteps, groups, window, masked } = stateData(saved, stateSchema)
    this.#checkGroups(Object.keys(groups))
    const own = new Map([...this.#sampled.values()].flatMap(({ tensors }) => tensors))
    const [ours, others] = [true, false].map(
      (isOurs) => new Map([...saved.tensors].filter(([name]) => own.has(name) === isOurs)),
    )
    this.#optimizer.load(others, adamSteps)
    loadTensors(own, ours, 'the state of the strategy')
    if (this.#selection) this.#selection.masking.state = masked ?? []
    for (const [name, state] of Object.entries(groups)) this.#group(name).state = state
    this.#totalPulls = totalPulls
    this.#windows.load(window)
    this.#samplings += 1
  }

  #checkGroups(saved: readonly string[]): void {
    const own = [...this.#sampled.keys()]
    if (own.length === saved.length && own.every((name) => saved.includes(name))) return
    throw new DdsasError(
      'checkpoint',
      `the state of the strategy is of the groups ${saved.join(', ') || 'none'} instead of ${own.join(', ')}; resume with its own space`,
    )
  }

  dispose(): void {
    for (const group of [...this.#sampled.values(), ...this.#whole.values()]) group.dispose()
    this.#optimizer.dispose()
  }
}

/** DDSAS for the registry. */
export const ddsas: StrategyDefinition<DdsasSettings> = {
  name: 'ddsas',
  settings: ddsasSettings,
  defaults: defaultSettings,
  check: checkNewSettings,
  warnings: settingsWarnings,
  describe: ({ ddsas: { subspace, fill, window, variant } }) =>
    `${fill === 'memory' ? 'L by memory' : `L = ${subspace}`}, M = ${window}, variant ${variant}`,
  subspace: {
    range: subspaceRange,
    whole: wholeSubspace,
    of: (settings) => settings.ddsas.subspace,
    with: (settings, subspace) => ({
      ...settings,
      ddsas: { ...settings.ddsas, subspace, fill: 'operations' },
    }),
    byMemory: {
      of: ({ ddsas: { fill } }) => fill === 'memory',
      with: (settings) => ({ ...settings, ddsas: { ...settings.ddsas, fill: 'memory' } }),
    },
  },
  create: (context, settings) => new Ddsas(context, settings),
}
