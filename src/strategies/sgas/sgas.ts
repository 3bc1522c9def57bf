/**
 * SGAS: begins as DARTS; then one edge after the other is decided for its best candidate by a score, and from then on runs that alone.
 * What is left to compute becomes less and less, and batches grow for it. What is nothing is never decided for.
 */
import { z } from 'zod'
import type { ArchWeights } from '../../nn/index.ts'
import { keptRows, type Scores, type SearchSpace } from '../../spaces/space.ts'
import type { Tensor } from '../../torch/index.ts'
import { Alphas } from '../shared/alphas.ts'
import { archOptimizerSettings, usualArchOptimizer } from '../shared/arch-optimizer.ts'
import { describeChange } from '../shared/group-change.ts'
import { withoutSampled } from '../shared/sampled.ts'
import { stateData } from '../shared/state.ts'
import { nasbench201Weights } from '../shared/weight-recipe.ts'
import type {
  ArchScores,
  Batch,
  Outcome,
  SpaceReport,
  Stage,
  StagedSearch,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from '../strategy.ts'
import { decideEdge, distributionsOf, edgeScores } from './edge-decision.ts'
import { EdgeGroup } from './edge-group.ts'

const share = z.number().min(0).max(1)

const sgasSettings = {
  sgas: z
    .strictObject({
      criterion: z.number().int().min(1).max(2).meta({
        unit: '-',
        description: '1: an edge is decided by importance and certainty; 2: by stability, too',
      }),
      warmUp: share.meta({
        unit: 'of the epochs',
        description: 'before the first edge of each group is decided',
      }),
      interval: share.meta({ unit: 'of the epochs', description: 'from one edge to the next' }),
      history: z
        .number()
        .int()
        .positive()
        .max(100)
        .meta({ unit: 'epochs', description: 'that stability looks back' }),
      // older runs had the same batches all along
      batchIncrease: z.number().int().nonnegative().max(10_000).default(0).meta({
        unit: 'images',
        description: 'that batches have more each time edges are decided',
      }),
    })
    .describe('the search by SGAS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(sgasSettings)
export type SgasSettings = z.infer<typeof settingsSchema>

/** How many edges are decided after an epoch, from 0; `edges`: in all. */
export function decisionsDue(
  { warmUp, interval }: Pick<SgasSettings['sgas'], 'warmUp' | 'interval'>,
  epoch: number,
  epochs: number,
  edges: number,
): number {
  const at = (decision: number) => Math.round((warmUp + interval * decision) * epochs)
  return Array.from({ length: edges }, (_, decision) => decision).filter((decision) => at(decision) <= epoch)
    .length
}

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

/** Batches grow at each epoch after one in which an edge of some group is decided. */
function stages(
  { sgas }: SgasSettings,
  { space: { choices }, epochs, batch }: StagedSearch,
): readonly Stage[] {
  const edges = choices.flatMap((group) => (group.run === 'sampled' ? [keptRows(group)] : []))
  const due = (epoch: number) => edges.map((count) => decisionsDue(sgas, epoch, epochs, count)).join()
  const none = edges.map(() => 0).join()
  const decided = Array.from({ length: epochs }, (_, epoch) => epoch).filter(
    (epoch) => due(epoch) !== (epoch === 0 ? none : due(epoch - 1)),
  )
  return sgas.batchIncrease === 0
    ? []
    : decided.map((epoch, times) => ({
        from: epoch + 1,
        batch: batch + sgas.batchIncrease * (times + 1),
      }))
}

/** Of edges that will not be decided before the end. */
function warnings(
  { sgas }: SgasSettings,
  { epochs }: { readonly epochs: number },
  { choices }: Pick<SearchSpace, 'choices'>,
): string[] {
  return choices.flatMap((group) => {
    if (group.run !== 'sampled') return []
    const edges = keptRows(group)
    // what is decided after the last epoch comes too late
    const decided = decisionsDue(sgas, epochs - 2, epochs, edges)
    return decided < edges
      ? [
          `${edges - decided} of ${edges} edges of '${group.name}' are not decided before the last epoch, and picked by importance: set a smaller sgas.warmUp or sgas.interval`,
        ]
      : []
  })
}

/** SGAS for the registry. */
export const sgas: StrategyDefinition<SgasSettings> = {
  name: 'sgas',
  settings: sgasSettings,
  // of 50 epochs 9, and 5
  defaults: () => ({
    sgas: { criterion: 1, warmUp: 0.18, interval: 0.1, history: 4, batchIncrease: 8 },
    ...usualArchOptimizer,
  }),
  published: ({ name }): Readonly<Record<string, number>> =>
    name === 'darts'
      ? {
          epochs: 50,
          'data.batch': 64,
          'sgas.warmUp': 0.18,
          'sgas.interval': 0.1,
          'sgas.history': 4,
          'sgas.batchIncrease': 8,
        }
      : {},
  stages,
  weightRecipe: nasbench201Weights,
  cannotSearch: withoutSampled,
  warnings,
  describe: ({ sgas: { criterion, warmUp, interval } }) =>
    `criterion ${criterion}, an edge every ${interval} of the epochs after ${warmUp}`,
  create: (context, settings) => new Sgas(context, settings),
}
