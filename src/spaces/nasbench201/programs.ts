/**
 * The programs of NAS-Bench-201: a stem, three stages of cells with a residual block before the second and the third, a
 * classifier; for the supernet and for single architectures. Weights have the names of AutoDL-Projects.
 */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import {
  type Block,
  batchNorm2d,
  conv2d,
  images,
  type Program,
  relu,
  type State,
  type StateId,
  sequential,
  type Term,
} from '../../nn/index.ts'
import { classifier } from '../classifier.ts'
import { PartialChannels } from '../partial-channels.ts'
import { candidateLayers } from '../skip-dropout.ts'
import type { NetworkOptions, SupernetOptions } from '../space.ts'
import { edges, nodes, operationNames } from './architecture.ts'
import { type OperationName, operations, residualWays } from './operations.ts'

const stages = 3

/** The terms on the edge of a row: `name`, what their weights' names begin with; all that a node reads is made already. */
type EdgeTerms = (row: number, channels: number, name: string, input: StateId) => readonly Term[]

function stack(size: SupernetOptions, termsOf: EdgeTerms): Program {
  const { channels, cells, classes, partialChannels = 1 } = size
  const stem = sequential('', [conv2d(3, channels, 3), batchNorm2d(channels, true)])
  const states: State[] = [{ id: 'stem', kind: 'layers', input: images, name: 'stem', layers: stem }]
  const blocks: Block[] = []
  let last: StateId = 'stem'
  let width = channels
  const add = (made: readonly State[], block: Omit<Block, 'output'>) => {
    states.push(...made)
    last = made[made.length - 1].id
    blocks.push({ ...block, output: last })
  }
  const nextName = () => `cells.${blocks.length}`
  for (let stage = 0; stage < stages; stage++) {
    if (stage > 0) {
      add(residual(nextName(), last, width), { name: nextName(), kind: 'residual', label: 'residual block' })
      width *= 2
    }
    for (let index = 0; index < cells / stages; index++)
      add(
        partialChannels > 1
          ? partialCell(nextName(), last, new PartialChannels(width, partialChannels), termsOf)
          : cell(nextName(), last, width, termsOf),
        { name: nextName(), kind: 'cell' },
      )
  }
  const act = sequential('lastact', [batchNorm2d(width, true), relu])
  const head = classifier(width, classes, 'classifier')
  states.push({ id: 'logits', kind: 'layers', input: last, name: '', layers: [...act, ...head] })
  return {
    states,
    blocks,
    outputs: { logits: 'logits' },
    modules: ['stem', 'cells', 'lastact', 'classifier'],
  }
}

const nodeId = (block: string, node: number): StateId => `${block}/${node}`

/** Node 0 of a cell: what it is given. */
function cellInput(block: string, input: StateId): State {
  return { id: nodeId(block, 0), block, label: '0', kind: 'layers', input, name: '', layers: [] }
}

/** A cell whose candidates see a part of the channels. */
function partialCell(block: string, input: StateId, parts: PartialChannels, termsOf: EdgeTerms): State[] {
  const made = Array.from({ length: nodes - 1 }, (_, index) => {
    const node = index + 1
    return parts.node({
      id: nodeId(block, node),
      block,
      label: String(node),
      edges: edges.flatMap(({ from, to }, row) => {
        if (to !== node) return []
        const terms = (channels: number, reads: StateId) => termsOf(row, channels, block, reads)
        return [{ input: nodeId(block, from), stride: 1 as const, terms }]
      }),
    })
  })
  return [cellInput(block, input), ...made.flat()]
}

/** A cell: the last node is its output. */
function cell(block: string, input: StateId, channels: number, termsOf: EdgeTerms): State[] {
  const sums = Array.from({ length: nodes - 1 }, (_, index): State => {
    const node = index + 1
    const terms = edges.flatMap(({ from, to }, row) =>
      to === node ? termsOf(row, channels, block, nodeId(block, from)) : [],
    )
    return { id: nodeId(block, node), block, label: String(node), kind: 'sum', terms }
  })
  return [cellInput(block, input), ...sums]
}

/** Twice the channels of half the size. Its ways are states, and so terms without layers, which drop-path never leaves out. */
function residual(block: string, input: StateId, channels: number): State[] {
  const { main, beside } = residualWays(channels, 2 * channels)
  const ways = [
    { id: `${block}/main`, label: 'convolutions', layers: main },
    { id: `${block}/beside`, label: 'downsample', layers: beside },
  ]
  const terms = ways.map(({ id }): Term => ({ input: id, name: '', layers: [], operation: '' }))
  return [
    ...ways.map((way): State => ({ ...way, block, kind: 'layers', input, name: block })),
    { id: block, block, label: 'sum', kind: 'sum', terms },
  ]
}

const sizes = { channels: z.int().positive(), cells: z.int().positive(), classes: z.int().positive() }
const supernetSchema = z.object({
  ...sizes,
  stem: z.literal('cifar').optional(),
  partialChannels: z.int().positive().optional(),
  skipDropout: z.boolean().optional(),
})
const networkSchema = z.object({ ...sizes, kind: z.enum(['cifar', 'imagenet']), auxiliary: z.boolean() })

function checkOptions(schema: z.ZodType, options: SupernetOptions): void {
  checkGiven(schema, options, "the space 'nasbench201'", 'options')
  if (options.cells % stages !== 0)
    throw new DdsasError(
      'input',
      `${options.cells} cells cannot be divided among the ${stages} stages of 'nasbench201': use a multiple of ${stages}, 15 in the benchmark`,
    )
}

/**
 * The supernet: every operation on every edge.
 * @throws {DdsasError} `input` for sizes that cannot be.
 */
export function supernetProgram(group: string, size: SupernetOptions): Program {
  checkOptions(supernetSchema, size)
  return stack(size, (row, channels, block, input) => {
    const { from, to } = edges[row]
    return operationNames.map((operation, column) => ({
      input,
      name: `${block}.edges.${to}<-${from}.${column}`,
      layers: candidateLayers(operations[operation]({ channels, affine: false }), size.skipDropout),
      operation,
      choice: { group, row, column },
    }))
  })
}

/**
 * The benchmark's network of an architecture; it has no auxiliary head.
 * @throws {DdsasError} `input` for sizes that cannot be, and for the beginning of networks for ImageNet.
 */
export function networkProgram(architecture: readonly OperationName[], options: NetworkOptions): Program {
  checkOptions(networkSchema, options)
  if (options.kind !== 'cifar')
    throw new DdsasError(
      'input',
      `networks of 'nasbench201' begin at the size of the images, not as '${options.kind}': use the kind cifar (network.kind=cifar)`,
    )
  return stack(options, (row, channels, block, input) => {
    const operation = architecture[row]
    const layers = operations[operation]({ channels, affine: true })
    return [{ input, name: `${block}.layers.${row}`, layers, operation }]
  })
}

/** Undefined where they are of none of the benchmark's networks. Cells may have no weights, residual blocks have some. */
export function networkOfWeights(
  weights: ReadonlyMap<string, readonly number[]>,
): NetworkOptions | undefined {
  const channels = weights.get('stem.0.weight')?.[0]
  const classes = weights.get('classifier.weight')?.[0]
  const residuals = [...weights.keys()].flatMap((name) => {
    const found = /^cells\.(\d{1,4})\.conv_a\.op\.1\.weight$/.exec(name)
    return found ? [Number(found[1])] : []
  })
  const cells = stages * Math.min(...residuals)
  if (!channels || !classes || residuals.length !== stages - 1 || cells === 0) return undefined
  return { kind: 'cifar', channels, cells, classes, auxiliary: false }
}
