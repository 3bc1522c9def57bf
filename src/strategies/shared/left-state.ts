/** The state of strategies that leave candidates out and draw numbers: alpha with its Adam, which candidates are left, and a generator. */
import { z } from 'zod'
import type { Generator } from '../../torch/index.ts'
import type { StateDict } from '../strategy.ts'
import type { Alphas } from './alphas.ts'
import type { Mask } from './matrix.ts'
import { stateData } from './state.ts'

const schema = z.object({
  generator: z.array(z.number().int()),
  left: z.record(z.string(), z.array(z.array(z.boolean()))),
})

/** What such a strategy consists of; groups say which of their candidates are left, and refuse a mask of others. */
export interface LeftParts {
  readonly alphas: Alphas
  readonly groups: ReadonlyMap<string, { left: Mask }>
  readonly generator: Generator
}

export function leftState({ alphas, groups, generator }: LeftParts): StateDict {
  const { tensors, data } = alphas.state()
  const left = Object.fromEntries([...groups].map(([name, group]) => [name, group.left]))
  return { tensors, data: { ...data, generator: [...generator.state()], left } }
}

/** Throws DdsasError 'checkpoint' where the state is of others. */
export function loadLeft(state: StateDict, { alphas, groups, generator }: LeftParts): void {
  const saved = stateData(state, schema)
  alphas.load(state)
  for (const [name, group] of groups) group.left = saved.left[name] ?? []
  generator.load(saved.generator)
}
