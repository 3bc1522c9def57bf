/** How fast this machine moves bytes and computes: several kernels of each kind, the fastest of which counts as its peak. */
import { z } from 'zod'
import { call, channelsLast, conv2d, copy, dtypes, run, sum, type Tensor, tidy } from '../src/torch/index.ts'
import { type Contestant, takeTurns } from './measure.ts'

const rateSchema = z.object({ name: z.string(), perSecond: z.number() })

export const speedSchema = z.object({
  /** Bytes read and written a second, by each kernel. */
  memory: z.array(rateSchema).min(1),
  /** Floating point operations a second, by each kernel. */
  arithmetic: z.array(rateSchema).min(1),
})

export type Speed = z.infer<typeof speedSchema>
type Rate = z.infer<typeof rateSchema>

/** The fastest of several kernels. */
export function peakOf(rates: readonly Rate[]): Rate {
  return rates.reduce((best, rate) => (rate.perSecond > best.perSecond ? rate : best))
}

/** A kernel, and how much it does: bytes moved, or floating point operations. */
interface Probe extends Contestant {
  readonly work: number
}

const filled = (shape: readonly number[], value: number): Tensor =>
  call('aten::full', shape, value, dtypes.float32)

/** Kernels that do nothing but move tensors of so many numbers. */
function memoryProbes(count: number): Probe[] {
  // all are written first: pages never written would all be one page of zeros
  const [a, b, c] = [1, 2, 3].map((value) => filled([count], value))
  const bytes = 4 * count
  return [
    { name: 'copy', work: 2 * bytes, step: () => copy(a, b) },
    { name: 'triad', work: 3 * bytes, step: () => run('aten::add.out', b, c, 3, a) },
    { name: 'sum', work: bytes, step: () => tidy(() => void sum(a)) },
  ]
}

/** A product of square matrices: with Debian's libtorch and a plain BLAS far below what the processor can do. */
function product(order: number): Probe {
  const [a, b, out] = [1, 2, 0].map((value) => filled([order, order], value))
  return {
    name: `matrix product, order ${order}`,
    work: 2 * order ** 3,
    step: () => run('aten::mm.out', a, b, out),
  }
}

interface Convolved {
  readonly images: number
  readonly channels: number
  readonly side: number
  readonly kernel: number
}

/** A convolution to as many channels, which oneDNN computes. */
function convolution(name: string, { images, channels, side, kernel }: Convolved): Probe {
  const x = channelsLast(filled([images, channels, side, side], 1))
  const weight = channelsLast(filled([channels, channels, kernel, kernel], 2))
  const padding = (kernel - 1) / 2
  return {
    name: `${kernel}x${kernel} convolution, ${name}`,
    work: 2 * images * side ** 2 * channels ** 2 * kernel ** 2,
    step: () => tidy(() => void conv2d(x, weight, { padding })),
  }
}

const rateOf = ({ name, work }: Probe, seconds: number): Rate => ({ name, perSecond: work / seconds })

/** The tensors that are moved fit no cache; the products fill the processor's units. */
export function measureSpeed(turns: number | undefined): Speed {
  return tidy(() => {
    const memory = memoryProbes(2 ** 26)
    const arithmetic = [
      product(128),
      product(512),
      convolution('many channels', { images: 1, channels: 1024, side: 32, kernel: 1 }),
      convolution('many images', { images: 64, channels: 64, side: 32, kernel: 1 }),
      convolution('many images', { images: 16, channels: 64, side: 32, kernel: 3 }),
    ]
    const timings = takeTurns([...memory, ...arithmetic], turns)
    const rates = [...memory, ...arithmetic].map((probe, index) => rateOf(probe, timings[index].median))
    return { memory: rates.slice(0, memory.length), arithmetic: rates.slice(memory.length) }
  })
}
