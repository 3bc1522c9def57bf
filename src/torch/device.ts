/** Devices, threads and memory of the engine, and interrupts that arrive while it computes. */
import { DdsasError } from '../errors.ts'
import { describeEngine, native } from './native.ts'
import { run } from './tensor.ts'

export const deviceNames = ['auto', 'cpu', 'cuda'] as const
export type DeviceName = (typeof deviceNames)[number]

/** `cpu` or `cuda:0`. Throws DdsasError 'device' when CUDA is asked for and there is none. */
export function resolveDevice(wanted: DeviceName): string {
  const { cuda, libtorch } = describeEngine()
  if (wanted === 'cuda' && cuda.length === 0)
    throw new DdsasError(
      'device',
      `libtorch ${libtorch} sees no CUDA device; use --device cpu, or see: ddsas doctor`,
    )
  return wanted !== 'cpu' && cuda.length > 0 ? cuda[0] : 'cpu'
}

/** How many threads compute one operator. */
export function setThreads(count: number): void {
  native().setThreads(count)
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

/** Bytes of CPU tensors: now, and the most since `resetPeakMemory`. */
export function tensorMemory(): { live: number; peak: number } {
  return native().memory()
}

export function resetPeakMemory(): void {
  native().resetPeakMemory()
}

/**
 * Counts SIGINT and SIGTERM from now on; a second one ends the process at once with code 130. Done natively: while an
 * operator computes, JavaScript could not run a handler.
 */
export function watchInterrupts(): { interrupted(): boolean; stop(): void } {
  native().watchInterrupts(true)
  return { interrupted: () => native().interrupts() > 0, stop: () => native().watchInterrupts(false) }
}
