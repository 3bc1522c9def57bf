/** A step that stays the same for a while: run once, then recorded as a CUDA graph, then replayed. */
import type { Batch } from '../nn/step.ts'
import { clone, copy, type Graph, keep, noGrad, recordGraph, type Tensor } from '../torch/index.ts'

type Record = typeof recordGraph

interface Recorded {
  readonly graph: Graph
  /** What it reads: the batches of each replay are copied here. */
  readonly batches: readonly Batch[]
  readonly output: Tensor
}

export class ReplayedStep {
  readonly #record: Record | undefined
  #key = ''
  #recorded: Recorded | undefined
  #valid = false

  /** `record`: what records; undefined where every step is to be computed anew. */
  constructor(record: Record | undefined) {
    this.#record = record
  }

  /** Records on CUDA devices; elsewhere there is nothing to gain. */
  static on(device: string): ReplayedStep {
    return new ReplayedStep(device.startsWith('cuda') ? recordGraph : undefined)
  }

  /**
   * What `body` computes from the batches: one tensor. The first step under a key runs as it is: it warms up what the
   * engine prepares on first use, and makes the tensors that stay. The second is recorded. `key` and the shapes of the
   * batches say when another step is meant; `body` may depend on nothing else that changes but tensors' values.
   */
  run(key: string, batches: readonly Batch[], body: (batches: readonly Batch[]) => Tensor): Tensor {
    if (this.#record === undefined) return body(batches)
    const full = `${key} ${batches.map(({ images }) => images.shape.join('x'))}`
    if (full !== this.#key) {
      this.#key = full
      this.#valid = false
      return body(batches)
    }
    if (this.#valid && this.#recorded !== undefined) copyBatches(batches, this.#recorded.batches)
    else this.#recordAnew(this.#record, batches, body)
    this.#recorded?.graph.replay()
    return this.#recorded?.output ?? body(batches)
  }

  /** The old recording goes once the new one has taken over its memory. */
  #recordAnew(record: Record, batches: readonly Batch[], body: (batches: readonly Batch[]) => Tensor): void {
    const old = this.#recorded
    const own = batches.map(({ images, labels }) => ({
      images: keep(clone(images)),
      labels: keep(clone(labels)),
    }))
    try {
      const { graph, result } = record(() => keep(body(own)))
      this.#recorded = { graph, batches: own, output: result }
    } catch (error) {
      disposeBatches(own)
      throw error
    }
    this.#valid = true
    if (old) disposeRecorded(old)
  }

  /** Kernels, copies and fills of the step last recorded; 0 where there is none. */
  get launches(): number {
    return this.#recorded?.graph.launches ?? 0
  }

  dispose(): void {
    if (this.#recorded) disposeRecorded(this.#recorded)
    this.#recorded = undefined
    this.#valid = false
    this.#key = ''
  }
}

function copyBatches(from: readonly Batch[], into: readonly Batch[]): void {
  noGrad(() => {
    for (const [i, { images, labels }] of from.entries()) {
      copy(into[i].images, images)
      copy(into[i].labels, labels)
    }
  })
}

function disposeRecorded({ graph, batches, output }: Recorded): void {
  graph.dispose()
  output.dispose()
  disposeBatches(batches)
}

function disposeBatches(batches: readonly Batch[]): void {
  for (const { images, labels } of batches) {
    images.dispose()
    labels.dispose()
  }
}
