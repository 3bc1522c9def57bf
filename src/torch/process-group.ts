/** The process group of this process, as torch.distributed has one: sums over all ranks, and bytes that they share. */
import { native } from './native.ts'
import { call, guard, Tensor } from './tensor.ts'

/** Which process groups this build has: `gloo`, and `nccl` for CUDA; none where libtorch's headers of them were absent. */
export function groupBackends(): readonly string[] {
  return native().groupBackends()
}

export interface StoreAddress {
  readonly host: string
  /** 0: any that is free, for the one who serves. */
  readonly port: number
}

/** Opens the table of bytes that all ranks share: one serves it, the others connect within `milliseconds`. Returns its port. */
export function openStore({ host, port }: StoreAddress, serve: boolean, milliseconds: number): number {
  return guard(() => native().openStore(host, port, serve, milliseconds))
}

export function storeSet(key: string, bytes: Uint8Array): void {
  guard(() => native().storeSet(key, bytes))
}

/** What a rank has set; undefined where none has yet. */
export function storeGet(key: string): Uint8Array | undefined {
  return guard(() => native().storeGet(key, false)) ?? undefined
}

/** Waits until a rank has set it. Throws DdsasError 'rank' naming one that is gone. */
export function storeWait(key: string): Uint8Array {
  return guard(() => native().storeGet(key, true)) ?? new Uint8Array()
}

export function storeDelete(key: string): void {
  guard(() => native().storeDelete(key))
}

export interface GroupOptions {
  /** One of `groupBackends`. */
  readonly backend: string
  readonly rank: number
  /** What errors call each rank. */
  readonly names: readonly string[]
  /** Seconds without a sign of life after which a rank counts as gone. */
  readonly silence: number
  /** Within which all ranks must connect. */
  readonly milliseconds: number
}

/** Joins all ranks; the store must be open. Throws DdsasError 'rank' naming one that is gone. */
export function openGroup({ backend, rank, names, silence, milliseconds }: GroupOptions): void {
  guard(() => native().openGroup(backend, rank, names, silence, milliseconds))
}

/**
 * Begins to sum tensors over all ranks, in one flat buffer of the first one's element type; all ranks give the same shapes in
 * the same order. `take` waits, and gives the sums: the same bits on every rank.
 */
export function sumLater(tensors: readonly Tensor[]): { take(): Tensor[] } {
  const ticket = guard(() => native().sumLater(tensors.map(({ slot }) => slot)))
  return { take: () => guard(() => native().takeSum(ticket)).map((slot) => new Tensor(slot)) }
}

/** The sum over all ranks, through which gradients flow: those of all ranks' losses, added up. */
export function sumOverRanks(x: Tensor): Tensor {
  return call('ddsas::sum_over_ranks', x)
}

/** Leaves the group: a text tells the other ranks why, an empty one says that all is done. */
export function leaveGroup(why: string): void {
  guard(() => native().leaveGroup(why))
}
