/** What a search does with the gradients of alpha before Adam follows them: notes their sizes, and adds those of the regulariser. */
import type { Gradients } from '../../nn/optim.ts'
import { add, noGrad, type Tensor } from '../../torch/index.ts'
import type { SampledGroup } from './group.ts'

/** Gradients of the loss with those of beta-decay by `lambda`, in the order of the parameters; the same ones where that is 0. */
export function followed(
  gradients: Gradients,
  parameters: readonly Tensor[],
  groups: ReadonlyMap<string, SampledGroup>,
  lambda: number,
): Gradients {
  const owners = new Map([...groups.values()].map((group) => [group.alpha, group]))
  return noGrad(() =>
    gradients.map((own, at) => {
      const group = owners.get(parameters[at])
      if (group === undefined) return own
      if (own) group.follow(own)
      if (lambda === 0) return own
      const decay = group.betaDecay(lambda)
      return own ? add(own, decay) : decay
    }),
  )
}
