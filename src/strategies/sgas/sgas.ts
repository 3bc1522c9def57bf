/**
 * SGAS: begins as DARTS; then one edge after the other is decided for its best candidate by a score, and from then on runs that alone.
 * What is left to compute becomes less and less, and batches grow for it. What is nothing is never decided for.
 */
import { z } from 'zod'
import type { ArchWeights } from '../../nn/index.ts'
import { keptRows, type Scores } from '../../spaces/space.ts'
import type { Tensor } from '../../torch/index.ts'
import { Alphas } from '../shared/alphas.ts'
import { describeChange } from '../shared/group-change.ts'
import { withoutSampled } from '../shared/sampled.ts'
import { stateData } from '../shared/state.ts'
import { nasbench201Weights } from '../shared/weight-recipe.ts'
import type {
  ArchScores,
  Batch,
  Outcome,
  SpaceReport,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from '../strategy.ts'
import { decideEdge, distributionsOf, edgeScores } from './edge-decision.ts'
import { EdgeGroup } from './edge-group.ts'
import {
  decisionsDue,
  defaults,
  published,
  type SgasSettings,
  sgasSettings,
  stages,
  warnings,
} from './settings.ts'

const numbers = z.array(z.array(z.number()))
const groupState = z.object({
  decisions: z.array(z.union([z.number().int().nonnegative(), z.enum(['open', 'closed'])])),
  history: z.array(numbers),
})
const stateSchema = z.object({ groups: z.record(z.string(), groupState) })

class Sgas<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #settings: SgasSettings['sgas']
  readonly #alphas: Alphas
  readonly #groups: ReadonlyMap<string, EdgeGroup>

  constructor(context: StrategyContext<Architecture>, settings: SgasSettings) {
    this.#context = context
    this.#settings = settings.sgas
    this.#alphas = new Alphas(context.space.choices, context.init, settings)
    const sampled = context.space.choices.filter(({ run }) => run === 'sampled')
    this.#groups = new Map(
      sampled.map((group) => [group.name, new EdgeGroup(group, this.#alphas.group(group.name).alpha)]),
    )
  }

  /** Decides what is due after the epoch before. */
  beginEpoch(epoch: number): SpaceReport | undefined {
    if (epoch === 0) return undefined
    const changes = [...this.#groups].flatMap(([name, group]) => {
      const before = group.available
      return this.#decide(group, epoch - 1)
        ? [[name, describeChange(before, group.available, group.choices.candidates)] as const]
        : []
    })
    return changes.length === 0 ? undefined : Object.fromEntries(changes)
  }

  /** Whether there was something to decide. */
  #decide(group: EdgeGroup, epoch: number): boolean {
    const { none } = group.choices
    const alpha = group.alpha.matrix()
    const { criterion, history } = this.#settings
    const { score } = edgeScores(alpha, none, criterion === 2 ? group.history : undefined)
    if (criterion === 2) group.history = [...group.history, distributionsOf(alpha, none)].slice(-history)
    const made = group.decisions.filter((decision) => typeof decision === 'number').length
    const due = decisionsDue(this.#settings, epoch, this.#context.epochs, keptRows(group.choices))
    let decisions = group.decisions
    for (let more = made; more < due; more++)
      decisions = decideEdge(decisions, score, alpha, none, group.nodes)
    if (due <= made) return false
    group.decisions = decisions
    return true
  }

  prepareStep(): void {}

  archStep(context: StepContext, _train: Batch, valid: Batch): Outcome {
    const outcome = this.#alphas.follow(context, (name) => this.archWeights(name), valid)
    for (const group of this.#groups.values()) group.keepDecided()
    return outcome
  }

  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  archWeights(name: string): ArchWeights {
    return this.#groups.get(name)?.archWeights() ?? this.#alphas.group(name).archWeights()
  }

  derive(): Architecture {
    return this.#context.space.decode(this.scores().values)
  }

  scores(): ArchScores {
    const decided: Scores = new Map([...this.#groups].map(([name, { scores }]) => [name, scores]))
    return { values: new Map([...this.#alphas.scores(), ...decided]) }
  }

  get graphKey(): string {
    return [...this.#groups.values()].map(({ decisions }) => decisions.join()).join(' ')
  }

  state(): StateDict {
    const { tensors, data } = this.#alphas.state()
    const groups = Object.fromEntries(
      [...this.#groups].map(([name, { decisions, history }]) => [name, { decisions, history }]),
    )
    return { tensors, data: { ...data, groups } }
  }

  load(state: StateDict): void {
    const { groups } = stateData(state, stateSchema)
    this.#alphas.load(state)
    for (const [name, group] of this.#groups) {
      const { decisions, history } = groups[name] ?? { decisions: [], history: [] }
      group.decisions = decisions
      group.history = history
    }
  }

  dispose(): void {
    this.#alphas.dispose()
    for (const group of this.#groups.values()) group.dispose()
  }
}

/** SGAS for the registry. */
export const sgas: StrategyDefinition<SgasSettings> = {
  name: 'sgas',
  settings: sgasSettings,
  defaults,
  published,
  stages,
  weightRecipe: nasbench201Weights,
  cannotSearch: withoutSampled,
  warnings,
  describe: ({ sgas: { criterion, warmUp, interval } }) =>
    `criterion ${criterion}, an edge every ${interval} of the epochs after ${warmUp}`,
  create: (context, settings) => new Sgas(context, settings),
}
