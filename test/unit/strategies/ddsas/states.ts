/** Steps of a small search of five steps an epoch, and its states: saved as by a checkpoint, and compared. */
import type { Ddsas } from '../../../../src/strategies/ddsas/ddsas.ts'
import type { StateDict } from '../../../../src/strategies/strategy.ts'
import { keep, Tensor, tidy } from '../../../../src/torch/index.ts'
import { archStep, progressOf, type Tiny } from '../tiny.ts'

export const perEpoch = 5

/** The step after `total` others, without that of the weights. */
export function update(tiny: Tiny, total: number): void {
  const { strategy } = tiny
  tidy(() => {
    const at = progressOf(total, perEpoch)
    if (at.step === 0) strategy.beginEpoch(at.epoch)
    strategy.prepareStep(at)
    archStep(tiny)
  })
}

/** A state as a checkpoint holds it: kept copies of the tensors, and data that went through JSON. */
export function saved<A>(strategy: Ddsas<A>): StateDict {
  const { tensors, data } = strategy.state()
  const copies = [...tensors].map(
    ([name, tensor]) => [name, keep(Tensor.from(tensor.bytes(), tensor.shape, tensor.dtype))] as const,
  )
  return { tensors: new Map(copies), data: JSON.parse(JSON.stringify(data)) }
}

export function free(state: StateDict): void {
  for (const tensor of state.tensors.values()) tensor.dispose()
}

/** All that decides how a search goes on. */
export const fingerprint = <A>(strategy: Ddsas<A>) => ({
  parameters: [...strategy.state().tensors].map(([name, tensor]) => [name, tensor.bytes()]),
  data: structuredClone(strategy.state().data),
  architecture: strategy.derive(),
})
