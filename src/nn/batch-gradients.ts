/** Gradients of the mean loss on a batch, all at once or in parts that are computed one after the other (gradient accumulation). */
import {
  add,
  call,
  countCorrect,
  detach,
  grad,
  mul,
  noGrad,
  setRequiresGrad,
  slice,
  type Tensor,
  tidy,
} from '../torch/index.ts'
import type { Gradients } from './optim.ts'
import type { Batch, BatchPart, Outcome } from './step.ts'

/** What a forward pass on images gives: [n, classes], and the mean loss, a scalar. */
export interface Passed {
  readonly logits: Tensor
  readonly loss: Tensor
  /** Scalar, for the gradients alone: the same of every part of a batch. */
  readonly penalty?: Tensor
}

export interface BatchGradients {
  /** In the order of the parameters; null: the loss does not depend on the parameter. */
  readonly gradients: Gradients
  /** Of the whole batch. */
  readonly outcome: Outcome
}

/**
 * d loss / d parameters, with every part counted by its share of the images; everything else takes part as a constant.
 * `microBatch`: the most images that are computed at a time, 0: all. Parts are as even as can be; a batch norm that goes by the
 * batch goes by the part. Of a batch that several processes share, all get the gradients of the whole. Memory is that of a part, and of the gradients once more.
 */
export function batchGradients(
  parameters: readonly Tensor[],
  batch: Batch,
  microBatch: number,
  forward: (part: Batch) => Passed,
): BatchGradients {
  setRequiresGrad(parameters, true)
  try {
    const [first, ...others] = partsOf(batch, microBatch)
    const own = others.reduce<BatchGradients>(
      (sum, part) => tidy(() => total(sum, partGradients(parameters, part, forward))),
      partGradients(parameters, first, forward),
    )
    return batch.part ? ofAllProcesses(batch.part, own) : own
  } finally {
    setRequiresGrad(parameters, false)
  }
}

interface Part {
  readonly batch: Batch
  /** Of the images of the whole; 1 where it is that. */
  readonly share: number
}

function partsOf(batch: Batch, microBatch: number): Part[] {
  const images = batch.labels.size
  const count = microBatch > 0 ? Math.ceil(images / microBatch) : 1
  const whole = batch.part ? batch.part.images / batch.part.total : 1
  if (count <= 1) return [{ batch, share: whole }]
  const start = (part: number) => Math.floor((part * images) / count)
  return Array.from({ length: count }, (_, part) => {
    const [from, to] = [start(part), start(part + 1)]
    const cut = (all: Tensor) => slice(all, 0, from, to)
    const share = (whole * (to - from)) / images
    return { batch: { images: cut(batch.images), labels: cut(batch.labels) }, share }
  })
}

function partGradients(
  parameters: readonly Tensor[],
  { batch, share }: Part,
  forward: (part: Batch) => Passed,
): BatchGradients {
  return tidy(() => {
    const { logits, loss: own, penalty } = forward(batch)
    const shared = (x: Tensor) => (share === 1 ? x : mul(x, share))
    const loss = shared(own)
    const gradients = grad(penalty ? add(loss, shared(penalty)) : loss, parameters)
    return { gradients, outcome: { loss: detach(loss), correct: countCorrect(logits, batch.labels) } }
  })
}

/**
 * Sums of what each process has by its part of a batch, outcome included, in one go. Only gradients that exist travel: which those are
 * must be the same everywhere.
 */
function ofAllProcesses({ images, sum }: BatchPart, { gradients, outcome }: BatchGradients): BatchGradients {
  return noGrad(() => {
    const found = gradients.filter((gradient) => gradient !== null)
    // an image that stands in for none does not count
    const sums = sum([...found, outcome.loss, mul(outcome.correct, images > 0 ? 1 : 0)])
    const [loss, correct] = sums.slice(found.length)
    let next = 0
    return {
      gradients: gradients.map((gradient) => gradient && sums[next++]),
      outcome: { loss, correct },
    }
  })
}

function total(sum: BatchGradients, next: BatchGradients): BatchGradients {
  return noGrad(() => {
    const { loss, correct } = sum.outcome
    return {
      gradients: sum.gradients.map((gradient, index) => added(gradient, next.gradients[index])),
      outcome: { loss: add(loss, next.outcome.loss), correct: add(correct, next.outcome.correct) },
    }
  })
}

/** The sum, in the place of the first. */
function added(sum: Tensor | null, next: Tensor | null): Tensor | null {
  if (sum === null || next === null) return sum ?? next
  return call('aten::add_.Tensor', sum, next)
}
