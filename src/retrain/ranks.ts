/** What the processes of a training do as one: they see that they hold the same weights, and go by one's running statistics. */
import { loadTensors, namedBuffers, namedParameters } from '../nn/index.ts'
import { decodeSafetensors, encodeSafetensors, tidy } from '../torch/index.ts'
import type { Training } from './training.ts'

/** Throws DdsasError 'rank' naming a process that holds other weights than the others; `when`: "after epoch 1". */
export function checkSame({ network, dropPath, ranks }: Training, when: string): void {
  if (ranks.world === 1) return
  const weights = [...namedParameters(network).values()].map((weight) => weight.bytes())
  ranks.same([...weights, JSON.stringify(dropPath.state())], when)
}

/** Every rank has seen other images: those of rank 0 are taken, which are saved. */
export function shareStatistics({ network, ranks }: Training): void {
  if (ranks.world === 1) return
  tidy(() => {
    const own = namedBuffers(network)
    const bytes = ranks.broadcast(encodeSafetensors(own))
    if (ranks.rank > 0)
      loadTensors(own, decodeSafetensors(Buffer.from(bytes), 'statistics').tensors, 'statistics')
  })
}
