/** The parameters of ENAS's controller: the LSTM's, and for each group what it reads of a decision and how it makes one. */
import type { InitContext } from '../../nn/index.ts'
import { drawn, filled } from '../../nn/module.ts'
import type { ChoiceGroup } from '../../spaces/space.ts'
import type { Tensor } from '../../torch/index.ts'

/** Of the state, and of what is read. */
const hidden = 32
export const layers = 2
/** What weights are drawn from: uniform, up to this. */
const initial = 0.1

/** By name; on the processor. */
export function controllerParameters(
  choices: readonly ChoiceGroup[],
  { generator, dtype }: Pick<InitContext, 'generator' | 'dtype'>,
): ReadonlyMap<string, Tensor> {
  const init: InitContext = { device: 'cpu', generator, ...(dtype ? { dtype } : {}) }
  const uniform = (...shape: number[]) => drawn(shape, () => initial * (2 * generator.uniform() - 1), init)
  const zeros = (...shape: number[]) => filled(shape, 0, init)
  const lstm = Array.from({ length: layers }, (_, layer): [string, Tensor][] => [
    [`lstm.${layer}.weight_ih`, uniform(4 * hidden, hidden)],
    [`lstm.${layer}.weight_hh`, uniform(4 * hidden, hidden)],
    [`lstm.${layer}.bias_ih`, zeros(4 * hidden)],
    [`lstm.${layer}.bias_hh`, zeros(4 * hidden)],
  ]).flat()
  const groups = choices.flatMap(({ name, candidates: { length } }): [string, Tensor][] => [
    // the last row is read after a row that was left out
    [`embedding.${name}`, uniform(length + 1, hidden)],
    [`prediction.${name}.weight`, uniform(length, hidden)],
    [`prediction.${name}.bias`, zeros(length)],
  ])
  // all of one kind, so that their gradients are clipped together
  const named = [['start', uniform(1, hidden)] as [string, Tensor], ...lstm, ...groups]
  return new Map(named.map(([name, tensor]) => [`controller.${name}`, tensor]))
}
