/** Single architectures of a space: drawn at random, and run in a supernet. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { type ArchWeights, sampledIndex } from '../nn/index.ts'
import { type Generator, keep, Tensor, tidy, to } from '../torch/index.ts'
import type { ChoiceGroup, Picks, SearchSpace } from './space.ts'

const spaceSchema = z.object({ choices: z.array(z.unknown()), decode: z.function() })
const generatorSchema = z.object({ uniform: z.function() }, { error: 'expected a Generator' })

/** An architecture drawn with equal chances for every candidate of every row. */
export function drawArchitecture<Architecture>(
  space: SearchSpace<Architecture>,
  generator: Generator,
): Architecture {
  checkGiven(spaceSchema, space, 'drawArchitecture', 'space')
  checkGiven(generatorSchema, generator, 'drawArchitecture', 'generator')
  const draw = ({ rows, candidates }: ChoiceGroup) =>
    Array.from({ length: rows }, () => candidates.map(() => generator.uniform()))
  return space.decode(new Map(space.choices.map((group) => [group.name, draw(group)])))
}

/** One architecture as a supernet runs it: its candidates weigh 1, no other runs. */
export class ArchitectureWeights {
  readonly #groups: ReadonlyMap<string, ArchWeights & { readonly index: Tensor }>

  constructor(choices: readonly ChoiceGroup[], picks: Picks, device: string) {
    this.#groups = new Map(
      choices.map(({ name, rows, candidates }) => {
        const sampledOps = picks.get(name) ?? []
        const columns = candidates.length
        const ones = Tensor.from(new Float32Array(rows * columns).fill(1), [rows, columns])
        const weights = tidy(() => keep(to(ones, { device })))
        ones.dispose()
        return [name, { weights, sampledOps, index: keep(sampledIndex(sampledOps, columns, device)) }]
      }),
    )
  }

  of(name: string): ArchWeights {
    const group = this.#groups.get(name)
    if (group !== undefined) return group
    throw new DdsasError('input', `the space has no group of decisions '${name}'`)
  }

  dispose(): void {
    for (const { weights, index } of this.#groups.values())
      for (const tensor of [weights, index]) tensor.dispose()
  }
}
