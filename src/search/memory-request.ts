/** What `--memory SIZE` asks for: how much of that tensors may take, and subspaces that fill it. */
import { formatSize } from '../budget/memory-size.ts'
import { DdsasError } from '../errors.ts'
import { resolveDevice } from '../torch/index.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import { checkpointBytes, fragments } from './memory-room.ts'

/** Whether a search fills its subspaces up to memory. */
export function fillsMemory(config: SearchConfig, { strategy }: SearchParts): boolean {
  return strategy.subspace?.byMemory?.of(config) ?? false
}

/**
 * What a process takes besides tensors and checkpoints: Node, libtorch, JavaScript's memory; 430 to 510 MiB were seen. A fixed
 * amount, not what this process happens to take: the same request means the same search.
 */
const processBytes = 512 * 2 ** 20

/** What it takes in any case: 773 MiB were seen when the cell is drawn in the end, after all tensors are gone. */
const leastBytes = 800 * 2 ** 20

/** What the process takes in all where tensors take so much; on devices that have memory of their own that alone. */
export function memoryForLimit(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  limit: number,
): number {
  return device === 'cpu' ? Math.max(leastBytes, bytesWith(config, parts, limit)) : limit
}

/** While it searches. */
function bytesWith(config: SearchConfig, parts: SearchParts, limit: number): number {
  return Math.ceil(fragments * limit) + processBytes + checkpointBytes(config, parts)
}

/**
 * A search whose process is to take so many bytes at most, where a request says so: `memory.limit` is what that leaves for
 * tensors, and subspaces are filled up to it where the strategy can. Throws DdsasError 'budget' where nothing is left.
 */
export function withMemory(
  config: SearchConfig,
  parts: SearchParts,
  { memory }: { readonly memory?: number | undefined },
): SearchConfig {
  if (memory === undefined) return config
  const { byMemory } = parts.strategy.subspace ?? {}
  return {
    ...config,
    ...byMemory?.with(config),
    memory: { ...config.memory, limit: limitWithin(config, parts, memory) },
  }
}

/** What tensors may take of the bytes of the process. Throws DdsasError 'budget' where nothing is left for them. */
export function limitWithin(config: SearchConfig, parts: SearchParts, bytes: number): number {
  const device = resolveDevice(config.device)
  if (device !== 'cpu') return bytes
  const besides = bytesWith(config, parts, 0)
  const least = Math.max(leastBytes, besides + 1)
  if (bytes >= least) return Math.max(1, Math.floor((bytes - besides) / fragments))
  throw new DdsasError(
    'budget',
    `--memory ${formatSize(bytes)}: the process takes up to ${formatSize(least)} when it draws the cell in the end: use that or more`,
  )
}
