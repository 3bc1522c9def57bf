/** Batches of which each process of a run has a part, as steps take them, and how many images the whole has. */
import type { ImageBatch, Share } from '../data/source.ts'
import type { Ranks } from '../distributed/ranks.ts'
import type { Batch } from '../nn/index.ts'

/** What a stream of images gives to each of several processes; undefined for one alone. */
export function shareOf({ rank, world }: Ranks): Share | undefined {
  return world > 1 ? { rank, world } : undefined
}

/** A batch of a stream; of a part of one, the steps sum over all ranks what they compute. */
export function sharedBatch({ images, labels, place }: ImageBatch, ranks: Ranks): Batch {
  return { images, labels, ...(place ? { part: { ...place, sum: (tensors) => ranks.sum(tensors) } } : {}) }
}

/** How many images all processes have of a batch. */
export function imagesOf({ labels, place }: Pick<ImageBatch, 'labels' | 'place'>): number {
  return place?.total ?? labels.size
}
