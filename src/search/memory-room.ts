/** What tensors may take of the memory that is free, and what the process takes besides. */
import type { Available } from '../budget/memory-available.ts'
import { namedLayers, weightCounts } from '../nn/index.ts'
import { tensorMemory } from '../torch/index.ts'
import type { SearchConfig, SearchParts } from './config.ts'

/** Who says what is free. */
export type Look = (device: string) => Available | undefined

/** Bytes of the weights of the supernet, and of its running statistics. */
export function supernetBytes(
  { network }: SearchConfig,
  { space }: SearchParts,
): { readonly weights: number; readonly statistics: number } {
  // the number of classes changes next to nothing
  const program = space.supernet({ ...network, classes: 100 })
  const { parameters, buffers } = weightCounts(namedLayers(program))
  return { weights: 4 * parameters, statistics: 4 * buffers }
}

/** What is freed is not always large enough for what comes next. */
export const fragments = 1.03

/** What is made of a checkpoint before it is written. */
export function checkpointBytes(config: SearchConfig, parts: SearchParts): number {
  const { weights, statistics } = supernetBytes(config, parts)
  return 2 * (2 * weights + statistics)
}

/** What tensors may take where so many bytes are free; `toCome`: what the process will take besides. */
export function tensorRoom(free: number, device: string, toCome: number): number {
  const { held } = tensorMemory(device)
  const room = device === 'cpu' ? (free - toCome) / fragments + held : free + held
  return Math.max(0, Math.floor(room))
}
