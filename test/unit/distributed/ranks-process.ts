/** One process of a group, for ranks.test.ts: `rank world port what`; rank 0 prints the port that it listens at. */

import { placeInBatch } from '../../../src/data/source.ts'
import { joinRanks } from '../../../src/distributed/join.ts'
import type { Ranks } from '../../../src/distributed/ranks.ts'
import { DdsasError } from '../../../src/errors.ts'
import { synchronisedNorm } from '../../../src/nn/synchronised-norm.ts'
import {
  batchNorm,
  grad,
  mul,
  setRequiresGrad,
  slice,
  sum,
  sumOverRanks,
  Tensor,
} from '../../../src/torch/index.ts'

const [rank, world, port] = process.argv.slice(2, 5).map(Number)
const what = process.argv[5]

const vector = (...values: number[]) => Tensor.from(Float32Array.from(values), [values.length])

/** A batch of five images in float64, by a formula; the last stands in for none where `from` is its end. */
function images(from: number, to: number): Tensor {
  const values = Float64Array.from({ length: 12 * (to - from) }, (_, index) =>
    Math.sin(12 * from + index + 1),
  )
  return Tensor.from(values, [to - from, 3, 2, 2])
}

/** A norm with what it moves, and the gradients of a loss of its output. */
function throughNorm(x: Tensor, target: Tensor, norm: (x: Tensor, all: Norm) => Tensor): Tensor[] {
  const filled = (value: number) => Tensor.from(new Float64Array(3).fill(value), [3])
  const all = { weight: filled(2), bias: filled(0.5), runningMean: filled(0.1), runningVar: filled(0.9) }
  setRequiresGrad([x, all.weight, all.bias], true)
  const y = norm(x, all)
  const loss = sum(mul(mul(y, y), target), [0, 1, 2, 3])
  const gradients = grad(loss, [x, all.weight, all.bias]).filter((gradient) => gradient !== null)
  return [...gradients, all.runningMean, all.runningVar]
}

type Norm = Readonly<Record<'weight' | 'bias' | 'runningMean' | 'runningVar', Tensor>>

/** The largest difference from ATen's batch norm of the whole batch: of gradients of its part, of weight and bias, of statistics. */
function normDistance(ranks: Ranks): number {
  const total = 5
  const place = placeInBatch(total, ranks)
  const target = (from: number, to: number) => mul(images(from, to), images(from, to))
  const end = place.start + place.images
  const part = { ...place, sum: (tensors: readonly Tensor[]) => ranks.sum(tensors) }
  const [x, ...own] = throughNorm(images(place.start, end), target(place.start, end), (images, all) =>
    synchronisedNorm(images, part, all),
  )
  const sums = [...ranks.sum(own.slice(0, 2)), ...own.slice(2)]
  const [wholeX, ...whole] = throughNorm(images(0, total), target(0, total), (images, all) =>
    batchNorm(images, { ...all, training: true }),
  )
  const pairs = [[x, slice(wholeX, 0, place.start, end)], ...sums.map((one, index) => [one, whole[index]])]
  return Math.max(
    ...pairs.flatMap(([a, b]) => {
      const other = b.floats()
      return Array.from(a.floats(), (value, index) => Math.abs(value - other[index]))
    }),
  )
}

const acts: Readonly<Record<string, (ranks: Ranks) => void>> = {
  sum: (ranks) => {
    const sums = ranks
      .sum([vector(rank + 1, 2 * (rank + 1)), Tensor.from(Float32Array.of(1), []), vector()])
      .map((x) => (x.size === 0 ? 0 : [...x.floats()]))
    const total = ranks.total([rank, rank / 6])
    const any = [ranks.any(rank === 2), ranks.any(false)]
    const broadcast = Buffer.from(ranks.broadcast(Buffer.from(`from ${rank}`))).toString()
    ranks.agree({ same: 'all' })
    ranks.same(['all', vector(1).bytes()], 'after step 7')
    sumOverRanks(vector(1)).dispose()
    console.log(JSON.stringify({ sums, total, any, broadcast }))
  },
  norm: (ranks) => console.log(`furthest ${normDistance(ranks)}`),
  differ: (ranks) => ranks.same([rank === 2 ? 'other' : 'usual'], 'after step 7'),
  fail: (ranks) => {
    if (rank === 1) throw new DdsasError('disk', 'no space left')
    ranks.total([1])
  },
  wait: (ranks) => {
    console.log('joined')
    for (;;) ranks.total([1])
  },
}

const ranks = await joinRanks(
  { rank, world, localRank: rank, localWorld: world, host: '127.0.0.1', port },
  {
    version: 'test',
    device: 'cpu',
    seconds: 60,
    silence: 4,
    serving: (own) => {
      if (rank === 0) console.log(own)
    },
  },
)
try {
  acts[what](ranks)
  ranks.leave()
} catch (error) {
  if (!(error instanceof DdsasError)) throw error
  console.log(error.kind, error.message)
  ranks.leave(error)
}
