/** A strategy of one's own: every step trains a random architecture; at an epoch's end the best of some by validation is kept. */
import { pathToFileURL } from 'node:url'
import {
  ArchitectureWeights,
  drawArchitecture,
  type Evaluate,
  runSearch,
  type Strategy,
  type StrategyContext,
  type StrategyDefinition,
  torch,
} from 'ddsas'
import { z } from 'zod'

const draws = z
  .int()
  .positive()
  .meta({ unit: 'architectures', description: 'how many are compared after an epoch' })
const settings = { best_of: z.strictObject({ draws }).describe('the best of some random architectures') }
const savedState = z.object({ generator: z.array(z.number()), current: z.unknown() })

interface Settings {
  readonly best_of: { readonly draws: number }
}

function bestOf<A>({ space, init, seed }: StrategyContext<A>, { best_of }: Settings): Strategy<A> {
  const generator = new torch.Generator(seed, 'best of')
  const weightsOf = (one: A) => new ArchitectureWeights(space.choices, space.encode(one), init.device)
  let current = drawArchitecture(space, generator)
  let weights = weightsOf(current)
  const run = (architecture: A) => {
    weights.dispose()
    current = architecture
    weights = weightsOf(architecture)
  }
  return {
    prepareStep: () => run(drawArchitecture(space, generator)),
    archStep: () => undefined,
    archWeights: (group) => weights.of(group),
    derive: async (evaluate: Evaluate) => {
      // stopped midway, the same are drawn again
      const before = generator.state()
      const candidates = Array.from({ length: best_of.draws }, () => drawArchitecture(space, generator))
      generator.load(before)
      const scored: { readonly architecture: A; readonly loss: number }[] = []
      for (const architecture of candidates) {
        run(architecture)
        const { loss } = await evaluate((group) => weights.of(group))
        scored.push({ architecture, loss })
      }
      const [best] = scored.sort((a, b) => a.loss - b.loss)
      run(best.architecture)
      return best.architecture
    },
    state: () => ({ tensors: new Map(), data: { generator: [...generator.state()], current } }),
    load: ({ data }) => {
      const saved = savedState.parse(data)
      generator.load(saved.generator)
      run(space.parse(saved.current, 'state.json'))
    },
    dispose: () => weights.dispose(),
  }
}

export const strategy: StrategyDefinition<Settings> = {
  name: 'best_of',
  settings,
  defaults: () => ({ best_of: { draws: 10 } }),
  create: bestOf,
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { space, architecture } = await runSearch({ preset: 'demo', strategy })
  console.log(space.format(architecture))
}
