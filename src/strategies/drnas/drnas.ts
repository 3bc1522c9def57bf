/**
 * DrNAS: every candidate runs, weighted by a sample of a Dirichlet distribution of concentration elu(alpha) + 1 (Eq. 5 of its paper),
 * whose pathwise gradient alpha follows, held near the uniform one by KL divergence. All cells of a kind share a sample. After a
 * share of the epochs all but the best candidates of each row are pruned, and the others then see more of the channels: on DARTS's
 * space a sixth before, a fourth after, with the weights that there are and copies of them (`Widening`).
 */
import type { ArchWeights, ArchWeightsOf } from '../../nn/index.ts'
import type { Scores, SearchSpace } from '../../spaces/space.ts'
import { add, Generator, mul, sum, type Tensor } from '../../torch/index.ts'
import { Alphas } from '../shared/alphas.ts'
import { describeChange } from '../shared/group-change.ts'
import { type LeftParts, leftState, loadLeft } from '../shared/left-state.ts'
import { withoutSampled } from '../shared/sampled.ts'
import type {
  ArchScores,
  Batch,
  Outcome,
  Penalty,
  Progress,
  SpaceReport,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from '../strategy.ts'
import { concentrationOf, klToUniform } from './dirichlet.ts'
import { columnsOf, DirichletGroup } from './dirichlet-group.ts'
import {
  check,
  type DrnasSettings,
  defaults,
  drnasSchedule,
  drnasSettings,
  networkRecipe,
  published,
  stages,
  warnings,
} from './settings.ts'

class Drnas<Architecture> implements Strategy<Architecture> {
  readonly #space: SearchSpace<Architecture>
  readonly #settings: DrnasSettings['drnas']
  readonly #schedule: ReturnType<typeof drnasSchedule>
  readonly #alphas: Alphas
  /** Of the decisions that are sampled; all others go by a softmax. */
  readonly #groups: ReadonlyMap<string, DirichletGroup>
  readonly #generator: Generator
  #rests = false

  constructor({ space, init, seed, epochs }: StrategyContext<Architecture>, settings: DrnasSettings) {
    this.#space = space
    this.#settings = settings.drnas
    this.#schedule = drnasSchedule(settings.drnas, epochs)
    const sampled = space.choices.filter(({ run }) => run === 'sampled')
    const columns = new Map(sampled.map((group) => [group.name, columnsOf(group, settings.drnas.none)]))
    const own = space.choices.map((group) => {
      const candidates = columns.get(group.name)?.map((column) => group.candidates[column])
      return candidates ? { ...group, candidates } : group
    })
    this.#alphas = new Alphas(own, init, settings)
    this.#groups = new Map(
      sampled.map((group) => {
        const { alpha } = this.#alphas.group(group.name)
        return [group.name, new DirichletGroup(group, columns.get(group.name) ?? [], alpha)]
      }),
    )
    this.#generator = new Generator(seed, 'dirichlet samples')
    this.#draw()
  }

  #draw(): void {
    for (const group of this.#groups.values()) group.draw(this.#generator)
  }

  beginEpoch(epoch: number): SpaceReport | undefined {
    if (epoch !== this.#schedule.prune) return undefined
    const { keep } = this.#settings
    return Object.fromEntries(
      this.#space.choices.flatMap(({ name, candidates }) => {
        const group = this.#groups.get(name)
        return group ? [[name, describeChange(group.prune(keep), group.available, candidates)]] : []
      }),
    )
  }

  prepareStep({ epoch }: Progress): void {
    this.#rests = this.#schedule.rests(epoch)
    this.#draw()
  }

  /** The weight step has a sample of its own. */
  archStep(context: StepContext, _train: Batch, valid: Batch): Outcome | undefined {
    if (this.#rests) return undefined
    const penalty: Penalty = (archWeights) => {
      const own = this.#divergence()
      return context.penalty ? add(own, context.penalty(archWeights)) : own
    }
    const archWeights: ArchWeightsOf = (group) => this.archWeights(group, 'train')
    const outcome = this.#alphas.follow({ ...context, penalty }, archWeights, valid)
    this.#draw()
    return outcome
  }

  /** Scalar. */
  #divergence(): Tensor {
    const sums = [...this.#groups.values()].map(({ alpha }) => sum(klToUniform(concentrationOf(alpha))))
    return mul(sums.reduce(add), this.#settings.kl)
  }

  /** `alpha.<group>`: [rows, candidates that take part]. */
  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  archWeights(name: string, mode: 'train' | 'eval'): ArchWeights {
    return this.#groups.get(name)?.archWeights(mode) ?? this.#alphas.group(name).archWeights()
  }

  derive(): Architecture {
    const { values, available } = this.scores()
    return this.#space.decode(values, available)
  }

  scores(): ArchScores {
    const own: Scores = new Map([...this.#groups].map(([name, { scores }]) => [name, scores]))
    const available = new Map([...this.#groups].map(([name, group]) => [name, group.available]))
    return { values: new Map([...this.#alphas.scores(), ...own]), available }
  }

  state(): StateDict {
    return leftState(this.#parts)
  }

  load(state: StateDict): void {
    loadLeft(state, this.#parts)
  }

  get #parts(): LeftParts {
    return { alphas: this.#alphas, groups: this.#groups, generator: this.#generator }
  }

  dispose(): void {
    this.#alphas.dispose()
    for (const group of this.#groups.values()) group.dispose()
  }
}

/** DrNAS for the registry. */
export const drnas: StrategyDefinition<DrnasSettings> = {
  name: 'drnas',
  settings: drnasSettings,
  defaults,
  published,
  networkRecipe,
  stages,
  cannotSearch: withoutSampled,
  check,
  warnings,
  describe: ({ drnas: { kl, keep, pruneAt } }) =>
    `KL ${kl}, ${keep === 0 ? 'nothing pruned' : `${keep} of each row left after ${pruneAt} of the epochs`}`,
  create: (context, settings) => new Drnas(context, settings),
}
