/** The benchmarks by name, in the order in which `all` runs them. */
import type { Benchmark } from './benchmark.ts'
import { decode } from './decode.ts'
import { length } from './length.ts'
import { loader } from './loader.ts'
import { network } from './network-step.ts'
import { operators } from './operators.ts'
import { roofline } from './roofline.ts'
import { step } from './search-step.ts'

export const benchmarks: Readonly<Record<string, Benchmark>> = {
  step,
  operators,
  network,
  length,
  loader,
  decode,
  roofline,
}
