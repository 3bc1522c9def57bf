/** Choosing the architecture at the end by masking: which subspace of L operations is looked at, and what of it can be left out. */
import { DdsasError } from '../../errors.ts'
import type { ArchWeightsOf } from '../../nn/index.ts'
import type { ChoiceGroup, SearchSpace } from '../../spaces/space.ts'
import type { AlphaGroup } from '../shared/alphas.ts'
import type { ArchScores, Evaluate, Occasion, Score } from '../strategy.ts'
import type { SampledGroup } from './group.ts'
import { type MaskedGroup, Masking, type WeightsOf } from './masking.ts'
import type { Mixture } from './mixture.ts'
import { type DdsasSettings, extendedOf } from './settings.ts'
import { sampleSubspace } from './subspace.ts'

interface SelectionOptions {
  /** L. */
  readonly size: number
  readonly mixture: Mixture
  /** What tells how much is lost. */
  readonly by: keyof Score
  /** 0: all. */
  readonly images: number
}

/** The parts of a search that it looks at; they stay their owner's. */
export interface SelectionGroups {
  readonly sampled: ReadonlyMap<string, SampledGroup>
  readonly whole: ReadonlyMap<string, AlphaGroup>
}

export class Selection<Architecture> {
  readonly #groups: SelectionGroups
  readonly #options: SelectionOptions
  readonly #space: SearchSpace<Architecture>
  #droppable: ReadonlyMap<string, readonly boolean[]> | undefined
  readonly masking = new Masking()

  constructor(space: SearchSpace<Architecture>, groups: SelectionGroups, options: SelectionOptions) {
    this.#groups = groups
    this.#options = options
    this.#space = space
  }

  /** The most salient operations of each group as a window would have them: each edge's best, then the best of the rest until L. */
  #masked(): MaskedGroup[] {
    this.#droppable ??= droppableRows(this.#space)
    const droppable = this.#droppable
    return [...this.#groups.sampled].map(([name, { choices, scores, pickable }]) => ({
      name,
      // `none` is never picked, and thins out the others where it runs
      mask: sampleSubspace(scores, scores, pickable, {
        size: this.#options.size,
        none: -1,
        noneCounts: true,
      }),
      droppable: droppable.get(name) ?? choices.candidates.map(() => false),
    }))
  }

  /** Measures each operation and edge, but what was measured already. Throws what `evaluate` throws. */
  measure(evaluate: Evaluate, { progress }: Occasion): Promise<void> {
    const { images, mixture } = this.#options
    const { sampled, whole } = this.#groups
    const weightsOf: WeightsOf = (masks) => {
      const own = new Map(
        [...masks].flatMap(([name, mask]) => {
          const group = sampled.get(name)
          return group ? [[name, group.weightsIn(mask, mixture)] as const] : []
        }),
      )
      const of: ArchWeightsOf = (name) => {
        const weights = own.get(name) ?? whole.get(name)?.archWeights()
        if (weights !== undefined) return weights
        throw new DdsasError('input', `the space has no group of decisions '${name}'`)
      }
      const dispose = () => {
        for (const { weights, index } of own.values()) for (const tensor of [weights, index]) tensor.dispose()
      }
      return { of, dispose }
    }
    const onImages = (of: ArchWeightsOf) => evaluate(of, images || undefined)
    return this.masking.measure(this.#masked(), weightsOf, onImages, progress)
  }

  /** Of the sampled groups; undefined before all is measured. */
  scores(): Required<ArchScores> | undefined {
    const masked = this.#masked()
    const values = this.masking.values(masked, this.#options.by)
    return values && { values, available: new Map(masked.map(({ name, mask }) => [name, mask])) }
  }
}

/** Undefined where saliency chooses. */
export function selectionOf<Architecture>(
  space: SearchSpace<Architecture>,
  groups: SelectionGroups,
  ddsas: DdsasSettings['ddsas'],
): Selection<Architecture> | undefined {
  const { selection: by, selectionImages: images } = extendedOf(ddsas)
  if (by === 'saliency') return undefined
  return new Selection(space, groups, { size: ddsas.subspace, mixture: ddsas.mixture, by, images })
}

/** For each group which rows an architecture leaves out that scores them below all others: edges of DARTS's cells, none where each row has a candidate. */
function droppableRows<Architecture>(space: SearchSpace<Architecture>): Map<string, boolean[]> {
  const level = ({ rows, candidates }: ChoiceGroup, value: (row: number) => number) =>
    Array.from({ length: rows }, (_, row) => candidates.map(() => value(row)))
  const isLeftOut = (group: ChoiceGroup, row: number) => {
    const scores = space.choices.map(
      (one) => [one.name, level(one, (at) => (one === group && at === row ? 1 : 2))] as const,
    )
    return space.encode(space.decode(new Map(scores))).get(group.name)?.[row]?.length === 0
  }
  return new Map(
    space.choices.map((group) => [
      group.name,
      Array.from({ length: group.rows }, (_, row) => isLeftOut(group, row)),
    ]),
  )
}
