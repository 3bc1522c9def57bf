/** Devices, threads and memory of the engine, and interrupts that arrive while it computes. */

import { DdsasError } from '../errors.ts'
import { commandLine, counted } from '../words.ts'
import { describeEngine, native } from './native.ts'
import { guard, invoke, run } from './tensor.ts'

/** What may be asked for, `cuda:1` standing for any GPU by its number. */
export const deviceExamples = ['auto', 'cpu', 'cuda', 'cuda:1'] as const
export const devicePattern = /^(?:auto|cpu|cuda(?::(?:0|[1-9]\d{0,2}))?)$/
export const deviceWanted = 'auto, cpu, cuda or cuda:N is wanted'

/** `cpu` or `cuda:0`, …, ready to compute; of several processes each takes a GPU. Throws DdsasError 'device' for one that there is not. */
export function resolveDevice(wanted: string, localRank = 0): string {
  const { cuda, libtorch } = describeEngine()
  const any = wanted === 'cuda' || (wanted === 'auto' && cuda.length > 0)
  const device = chooseDevice(any && localRank > 0 ? `cuda:${localRank}` : wanted, cuda, libtorch)
  if (device !== 'cpu') prepareDevice(device)
  return device
}

/** The device that is meant, among the GPUs that `libtorch` sees. Throws DdsasError 'device' for one that there is not. */
export function chooseDevice(wanted: string, cuda: readonly string[], libtorch: string): string {
  if (!devicePattern.test(wanted)) throw new DdsasError('device', `--device ${wanted}: ${deviceWanted}`)
  if (wanted === 'cpu' || (wanted === 'auto' && cuda.length === 0)) return 'cpu'
  const device = wanted.includes(':') ? wanted : 'cuda:0'
  if (cuda.includes(device)) return device
  throw new DdsasError(
    'device',
    cuda.length === 0
      ? `libtorch ${libtorch} sees no CUDA device; use --device cpu, or see: ${commandLine('doctor')}`
      : `there is no ${device}: libtorch ${libtorch} sees ${counted(cuda.length, 'CUDA device')}, ${cuda.join(', ')}`,
  )
}

const prepared = new Set<string>()

/** Once, before the first tensor on a CUDA device: work goes to a stream of its own, in full float32. */
function prepareDevice(device: string): void {
  if (prepared.has(device)) return
  guard(() => native().prepareDevice(device))
  prepared.add(device)
}

/** How many threads compute one operator. */
export function setThreads(count: number): void {
  guard(() => native().setThreads(count))
}

/** Runs `body` with ATen's operators alone, without the kernels of native/kernels: what those are compared with. */
export function withoutKernels<Result>(body: () => Result): Result {
  run('ddsas::enable_kernels', false)
  try {
    return body()
  } finally {
    run('ddsas::enable_kernels', true)
  }
}

/**
 * How often each of our kernels ran in this process, by its name and how it was computed, as `mix/avx2`: by the vector kernels
 * of an instruction set, by the grid kernels (`grid`, on a GPU `cuda`), or by ATen's operators instead (`aten`).
 */
export function kernelRuns(): Readonly<Record<string, number>> {
  const [names, counts] = invoke('ddsas::kernel_runs') as [string[], number[]]
  return Object.fromEntries(names.map((name, i) => [name, counts[i]]))
}

/** Instruction sets that this build has kernels for and this machine can run, the widest last, and what computes float32. */
export function instructionSets(): { readonly available: readonly string[]; readonly used: string } {
  const [available, used] = invoke('ddsas::instruction_sets') as [string[], string]
  return { available, used }
}

export interface TensorMemory {
  /** Bytes of tensors now. */
  readonly live: number
  /** The most since `resetPeakMemory`. */
  readonly peak: number
  /** What the process holds for tensors, whether or not they need it now, and takes again before it asks for more. */
  readonly held: number
  /** On CUDA the most that was taken from the device, graphs and spare blocks included; else 0. */
  readonly reserved: number
  /** On CUDA what the device has left; else 0. */
  readonly free: number
}

export function tensorMemory(device = 'cpu'): TensorMemory {
  return guard(() => native().memory(device))
}

export function resetPeakMemory(device = 'cpu'): void {
  guard(() => native().resetPeakMemory(device))
}

/** Gives back to the system what is kept for tensors of the CPU and none needs now; the peak becomes what is live. */
export function releaseMemory(): void {
  guard(() => native().releaseMemory())
}

/**
 * Bytes that all tensors of the process may take on a device from now on; 0: no limit. What asks for a byte more throws
 * DdsasError 'memory' and takes nothing. On CUDA the bytes are those that libtorch takes from the device, spare blocks and
 * graphs included.
 */
export function setMemoryLimit(device: string, bytes: number): void {
  guard(() => native().setMemoryLimit(device, bytes))
}

/** Runs `body` under a memory limit, which ends with it; 0: without one. */
export async function withMemoryLimit<Result>(
  device: string,
  bytes: number,
  body: () => Promise<Result>,
): Promise<Result> {
  if (bytes === 0) return body()
  setMemoryLimit(device, bytes)
  try {
    return await body()
  } finally {
    setMemoryLimit(device, 0)
  }
}

/** Waits until a device has done all that was asked of it. */
export function synchronize(): void {
  guard(() => native().synchronize())
}

/**
 * Counts SIGINT and SIGTERM from now on; a second one ends the process at once with code 130. SIGHUP counts as the first. Done natively: while an
 * operator computes, JavaScript could not run a handler.
 */
export function watchInterrupts(): { interrupted(): boolean; stop(): void } {
  native().watchInterrupts(true)
  stopAsked = false
  return {
    interrupted: () => stopAsked || native().interrupts() > 0,
    stop: () => native().watchInterrupts(false),
  }
}

let stopAsked = false

/** What watches interrupts is told to stop as if there were one: nobody reads its output any more. */
export function askToStop(): void {
  stopAsked = true
}
