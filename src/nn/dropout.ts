/** torch.nn.Dropout with random numbers of ours: single elements left out of a training pass, what is left scaled by 1 / (1 - rate). */
import {
  call,
  dtypes,
  type Generator,
  maskedFill,
  mul,
  noGrad,
  reshape,
  run,
  slice,
  type Tensor,
  tidy,
} from '../torch/index.ts'
import type { BatchPart } from './step.ts'

export interface Dropout {
  /** How likely an element is left out, 0 <= rate < 1. */
  readonly rate: number
  /** Gives each layer that runs a number, from which the device makes those of all elements. */
  readonly generator: Generator
}

/** What layers leave out, of images that begin in a batch at `start`. */
interface Drops extends Dropout {
  readonly start: number
}

/** What layers look at of the pass that runs. */
export interface DropoutPass {
  now: Drops | undefined
}

/** What a pass leaves out; nothing where it measures. */
export function dropsOf(pass: {
  readonly training: boolean
  readonly dropout?: Dropout | undefined
  readonly part?: BatchPart | undefined
}): Drops | undefined {
  const { training, dropout, part } = pass
  return training && dropout && dropout.rate > 0 ? { ...dropout, start: part?.start ?? 0 } : undefined
}

/** Random bits that one number of 64 gives, for as many elements. */
const bits = 16
const perNumber = 64 / bits

/** Spreads numbers over all 64 bits, in place, as SplitMix64 (Steele et al.) ends, with factors that JavaScript can hold. */
function scramble(x: Tensor): void {
  // int64 shifts its sign in
  const fold = (by: number) =>
    tidy(() => {
      const shifted = call('aten::bitwise_right_shift.Tensor_Scalar', x, by)
      run('aten::bitwise_and_.Scalar', shifted, 2 ** (64 - by) - 1)
      run('aten::bitwise_xor_.Tensor', x, shifted)
    })
  fold(30)
  run('aten::mul_.Scalar', x, 0x1e47_6d1c_e4e5_b9)
  fold(27)
  run('aten::mul_.Scalar', x, 0x14d0_49bb_1331_11)
  fold(31)
}

/**
 * Which elements of images [n, c, h, w] are left out, bool: by a number that the generator gives and their places in the batch alone,
 * so that it does not matter how many threads or processes compute.
 */
function dropped(x: Tensor, { rate, generator, start }: Drops): Tensor {
  const [count, channels, height, width] = x.shape
  const size = channels * height * width
  const [from, to] = [start * size, (start + count) * size]
  const first = Math.floor(from / perNumber)
  const seed = generator.below(2 ** 48)
  return noGrad(() =>
    tidy(() => {
      const last = Math.ceil(to / perNumber)
      const numbers = call('aten::arange.start', first, last, dtypes.int64, null, x.device)
      // an odd factor gives each place another number
      run('aten::mul_.Scalar', numbers, 0x1e37_79b9_7f4a_7d)
      run('aten::add_.Scalar', numbers, seed)
      scramble(numbers)
      const parts = slice(
        call('aten::view.dtype', numbers, dtypes.int16),
        0,
        from % perNumber,
        (from % perNumber) + to - from,
      )
      const some = call('aten::lt.Scalar', parts, steps(rate) - 2 ** (bits - 1))
      return call('aten::permute', reshape(some, [count, height, width, channels]), [0, 3, 1, 2])
    }),
  )
}

/** How many of all values of some bits leave an element out: not all, since something must be left to be scaled. */
function steps(rate: number): number {
  return Math.min(Math.round(rate * 2 ** bits), 2 ** bits - 1)
}

/** x [n, c, h, w], channels last, without the elements that are left out; a rate is kept to 1 / 65536. */
export function dropOut(x: Tensor, drops: Drops): Tensor {
  const kept = 1 - steps(drops.rate) / 2 ** bits
  return tidy(() => mul(maskedFill(x, dropped(x, drops), 0), 1 / kept))
}
