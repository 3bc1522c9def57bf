/** The addon as TypeScript sees it: loads `ddsas.node` and types its exports (see native/addon.cc). */

import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { DdsasError } from '../errors.ts'
import { commandLine } from '../words.ts'

/** What may stand in an operator call: slots and numbers alike are numbers, told apart by the operator's schema. */
export type NativeValue = number | boolean | string | null | undefined | readonly NativeValue[]

export interface Native {
  operator(name: string): number
  call(id: number, args: readonly NativeValue[]): NativeValue
  callLater(id: number, args: readonly NativeValue[]): number
  finish(ticket: number): NativeValue
  fromBytes(bytes: Uint8Array, dtype: number, shape: readonly number[]): number
  toBytes(slot: number): ArrayBuffer
  describe(slot: number): { shape: number[]; dtype: number; device: string }
  item(slot: number): number
  free(slots: readonly number[]): void
  liveSlots(): number
  grad(output: number, inputs: readonly number[]): (number | null)[]
  setRequiresGrad(slots: readonly number[], flag: boolean): void
  setGradMode(flag: boolean): boolean
  engine(): {
    version: string
    path: string
    config: string
    threads: number
    cuda: number
    cudaKernels: boolean
  }
  setThreads(count: number): void
  prepareDevice(device: string): void
  beginGraph(): void
  endGraph(): { graph: number; launches: number }
  replayGraph(graph: number): void
  freeGraph(graph: number): void
  synchronize(): void
  memory(device: string): { live: number; peak: number; held: number; reserved: number; free: number }
  resetPeakMemory(device: string): void
  releaseMemory(): void
  setMemoryLimit(device: string, bytes: number): void
  groupBackends(): string[]
  openStore(host: string, port: number, serve: boolean, milliseconds: number): number
  storeSet(key: string, bytes: Uint8Array): void
  storeGet(key: string, wait: boolean): Uint8Array | null
  storeDelete(key: string): void
  openGroup(
    backend: string,
    rank: number,
    names: readonly string[],
    silence: number,
    milliseconds: number,
  ): void
  sumLater(slots: readonly number[]): number
  takeSum(ticket: number): number[]
  leaveGroup(text: string): void
  watchInterrupts(flag: boolean): void
  interrupts(): number
}

let loaded: Native | undefined

/** The addon. Throws DdsasError 'setup' when it is not built or its libtorch is gone. */
export function native(): Native {
  if (loaded) return loaded
  // GNU OpenMP's threads spin for milliseconds after each operator before they sleep; where other programs compute too
  // that takes their processor and ours. Must be set before the library is loaded.
  process.env.GOMP_SPINCOUNT ??= '10000'
  const built = new URL('../../build/Release/ddsas.node', import.meta.url)
  // another build of the addon: scripts/sanitize.mjs tests one with sanitizers
  const path = process.env.DDSAS_ADDON ?? fileURLToPath(built)
  try {
    loaded = createRequire(import.meta.url)(path) as Native
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new DdsasError(
      'setup',
      `the native addon cannot be loaded (${reason}); build it with: ${commandLine('setup')}`,
      {
        cause,
      },
    )
  }
  // some builds of libtorch start with one thread whatever the machine has
  if (process.env.OMP_NUM_THREADS === undefined) loaded.setThreads(availableParallelism())
  return loaded
}

export interface EngineInfo {
  /** libtorch's version, such as 1.13.1. */
  readonly libtorch: string
  /** The shared library in use. */
  readonly path: string
  /** Widest vector instructions libtorch uses here: DEFAULT, AVX2 or AVX512. */
  readonly cpuCapability: string
  readonly threads: number
  /** CUDA devices, as `cuda:0`, …; empty where there are none. */
  readonly cuda: readonly string[]
  /** Whether the addon was built with kernels of its own for CUDA; without them ATen's operators compute there. */
  readonly cudaKernels: boolean
}

/** What the engine is and runs on. Throws DdsasError 'setup' when the addon is not built. */
export function describeEngine(): EngineInfo {
  const { version, path, config, threads, cuda, cudaKernels } = native().engine()
  return {
    libtorch: version,
    path,
    cpuCapability: /CPU capability usage: (\S+)/.exec(config)?.[1] ?? 'unknown',
    threads,
    cuda: Array.from({ length: cuda }, (_, index) => `cuda:${index}`),
    cudaKernels,
  }
}
