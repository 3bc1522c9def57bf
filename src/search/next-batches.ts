/** Parts of the supernet on one validation batch after the other: what a strategy learns by between epochs. */
import { imagesOf, sharedBatch } from '../loop/shared-batch.ts'
import type { MeasureNext } from '../strategies/strategy.ts'
import { adopt, countCorrect, crossEntropy, noGrad, stackScalars, tidy } from '../torch/index.ts'
import type { Session } from './session.ts'

/**
 * Each call takes the next batch of the architecture's half and uses it up. Batch norms go by the batch, and their running
 * statistics follow, as in a step. `pause` is called before a batch is taken; what it throws leaves that batch for later.
 */
export function onNextBatches(
  { supernet, streams, ranks }: Pick<Session, 'supernet' | 'streams' | 'ranks'>,
  pause: () => void,
): MeasureNext {
  return async (archWeights) => {
    pause()
    const batch = await streams.valid.next()
    const images = imagesOf(batch)
    const [loss, correct] = tidy(() => {
      for (const tensor of [batch.images, batch.labels]) adopt(tensor)
      const { labels, part, ...shared } = sharedBatch(batch, ranks)
      const [mean, right] = noGrad(() => {
        const { logits } = supernet.forward(shared.images, { training: true, archWeights, part })
        return stackScalars([crossEntropy(logits, labels), countCorrect(logits, labels)]).floats()
      })
      // an image that stands in for none does not count
      const own = part?.images ?? labels.size
      return ranks.total([mean * own, own > 0 ? right : 0])
    })
    return { loss: loss / images, accuracy: correct / images }
  }
}
