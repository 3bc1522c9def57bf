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

const low32 = 0xffff_ffff

/** Whole numbers below 2^32 as random as MurmurHash3 (Appleby) leaves them at its end: in place, int64. */
function scramble(x: Tensor): void {
  const shifted = (bits: number) =>
    tidy(() => run('aten::bitwise_xor_.Tensor', x, call('aten::bitwise_right_shift.Tensor_Scalar', x, bits)))
  // products wrap around at 2^64, which leaves the low half what it is
  const times = (factor: number) => {
    run('aten::mul_.Scalar', x, factor)
    run('aten::bitwise_and_.Scalar', x, low32)
  }
  shifted(16)
  times(0x85eb_ca6b)
  shifted(13)
  times(0xc2b2_ae35)
  shifted(16)
}

/** Which elements of images [n, c, h, w] are left out, bool in channels-last order: by a number and their places in the batch alone. */
function dropped(x: Tensor, { rate, generator, start }: Drops): Tensor {
  const [count, channels, height, width] = x.shape
  const size = channels * height * width
  const seed = generator.below(2 ** 32)
  return noGrad(() =>
    tidy(() => {
      const places = call(
        'aten::arange.start',
        start * size,
        (start + count) * size,
        dtypes.int64,
        null,
        x.device,
      )
      // an odd factor gives each place another number
      run('aten::mul_.Scalar', places, 0x9e37_79b1)
      run('aten::add_.Scalar', places, seed)
      run('aten::bitwise_and_.Scalar', places, low32)
      scramble(places)
      const some = call('aten::lt.Scalar', places, Math.round(rate * 2 ** 32))
      return call('aten::permute', reshape(some, [count, height, width, channels]), [0, 3, 1, 2])
    }),
  )
}

/** x [n, c, h, w] without the elements that are left out. */
export function dropOut(x: Tensor, drops: Drops): Tensor {
  return tidy(() => mul(maskedFill(x, dropped(x, drops), 0), 1 / (1 - drops.rate)))
}
