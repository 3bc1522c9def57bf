/** What network of cells weights are of, told from their names and shapes. */
import type { NetworkOptions } from '../space.ts'
import type { NetworkKind } from './stem.ts'

/** Where each kind of network has the convolution that tells its channels, and how many times C those are. */
const stems: readonly { kind: NetworkKind; weight: string; times: number }[] = [
  { kind: 'cifar', weight: 'stem.0.weight', times: 3 },
  { kind: 'imagenet', weight: 'stem1.1.weight', times: 1 },
]

/** How many cells have weights, from the first without a gap: one name must not stand for thousands of cells. */
function countCells(names: readonly string[]): number {
  const numbers = new Set(names.flatMap((name) => /^cells\.(\d{1,4})\./.exec(name)?.slice(1) ?? []))
  let cells = 0
  while (numbers.has(String(cells))) cells++
  return cells
}

/** Undefined where they are of no discrete network of cells. */
export function networkOfWeights(
  weights: ReadonlyMap<string, readonly number[]>,
): NetworkOptions | undefined {
  const names = [...weights.keys()]
  const stem = stems.find(({ weight }) => weights.has(weight))
  const channels = stem && (weights.get(stem.weight)?.[0] ?? 0) / stem.times
  const classes = weights.get('classifier.weight')?.[0]
  const cells = countCells(names)
  if (!stem || !channels || !Number.isInteger(channels) || !classes || cells === 0) return undefined
  const auxiliary = names.some((name) => name.startsWith('auxiliary_head.'))
  return { kind: stem.kind, channels, cells, classes, auxiliary }
}
