/** What can be searched: the one interface of all search spaces. */
import type { Choice, Program } from '../nn/index.ts'

/** The edges into a node of a graph. */
export interface GraphNode {
  readonly rows: readonly number[]
  readonly keeps: number
}

/** Decisions of one kind, each a row of candidates: which operation runs on an edge, which input a block reads. */
export interface ChoiceGroup {
  /** `normal`; terms of a supernet's program name it. */
  readonly name: string
  readonly rows: number
  /** Names of the columns. */
  readonly candidates: readonly string[]
  /** Column of the candidate that is nothing and costs nothing; `decode` says whether it can be picked. */
  readonly none?: number
  /**
   * Where rows are edges of a graph: those into each node, and how many of them an architecture keeps. Absent: it has a candidate of
   * every row.
   */
  readonly nodes?: readonly GraphNode[]
  /** `sampled`: a strategy may run some of all candidates; `all`: every candidate runs, weighted by a softmax. */
  readonly run: 'sampled' | 'all'
}

/** How much each candidate of each group speaks for itself [rows, candidates]. */
export type Scores = ReadonlyMap<string, readonly (readonly number[])[]>

/** Which candidates of each group may be picked. */
export type Available = ReadonlyMap<string, readonly (readonly boolean[])[]>

/** For each row of each group the columns that an architecture consists of; none where it leaves a row out. */
export type Picks = ReadonlyMap<string, readonly (readonly number[])[]>

/** One way to fill a part of an architecture: the candidates that it then consists of there. */
export type Alternative = readonly Choice[]

/** How a network begins: for small images, or for ImageNet's. */
export const stemKinds = ['cifar', 'imagenet'] as const
export type StemKind = (typeof stemKinds)[number]

/** Size of a network, in what the space calls channels and cells. */
interface Size {
  readonly channels: number
  readonly cells: number
  readonly classes: number
}

/** Size of a supernet. */
export interface SupernetOptions extends Size {
  /** One of the space's `stems`; `cifar` where it is not said. */
  readonly stem?: StemKind
  /**
   * K: candidates see the first K-th of the channels, and the others pass by them (PC-DARTS). All where it is 1, or not said. Only
   * of spaces with `partialChannels`; it divides the channels.
   */
  readonly partialChannels?: number
  /** Whether a candidate that passes its input on unchanged has a layer `dropout` after it (P-DARTS), which `Pass.dropout` turns on. */
  readonly skipDropout?: boolean
}

/** Size of a network to be trained. */
export interface NetworkOptions extends Size {
  /** Stem and auxiliary head for small images, or for ImageNet's. */
  readonly kind: StemKind
  /** Whether it has the auxiliary head, which only training uses. */
  readonly auxiliary: boolean
}

/** Size of a network but for the auxiliary head. */
export type NetworkSize = Omit<NetworkOptions, 'auxiliary'>

/** A space of architectures, which are plain data: what JSON can hold. */
export interface SearchSpace<Architecture = unknown> {
  readonly name: string
  /** Sizes of a supernet in a real search. */
  readonly defaults: Pick<SupernetOptions, 'channels' | 'cells'>
  /** How its supernets can begin, the usual one first; `cifar` alone where absent. */
  readonly stems?: readonly [StemKind, ...StemKind[]]
  readonly choices: readonly ChoiceGroup[]
  /** Whether candidates of its supernet can see a part of the channels alone. */
  readonly partialChannels?: boolean
  /** The program of all candidates; its terms name their choices. */
  supernet(options: SupernetOptions): Program
  /** Throws DdsasError 'input' for a size that cannot be. */
  network(architecture: Architecture, options: NetworkOptions): Program
  /** The architecture that scores mean, among the candidates that are available; all where that is not said. */
  decode(scores: Scores, available?: Available): Architecture
  /** The candidates that an architecture consists of. */
  encode(architecture: Architecture): Picks
  /**
   * What architectures are made of: parts that are decided each by itself, and for each its alternatives, of which an architecture
   * has exactly one; no candidate stands in two parts. Limits on the networks of a search need it. Among equal scores `decode`
   * takes the first.
   */
  readonly parts?: readonly (readonly Alternative[])[]
  /** Whether an architecture of these picks is within limits, which `decode` then keeps to; every one is where absent. */
  allows?(picks: Picks): boolean
  /** An architecture from outside, as text or data; `source` names it in errors. Throws DdsasError 'input'. */
  parse(value: unknown, source: string): Architecture
  /** One line that `parse` reads back. */
  format(architecture: Architecture): string
  /** 0: the same; 1: nothing in common. */
  distance(a: Architecture, b: Architecture): number
  /** Size of the networks that are trained for a kind of images; as a supernet's, for ten classes, unless given. */
  usualNetwork?(kind: NetworkOptions['kind']): NetworkSize
  /** The network that weights are of, by their names and shapes; undefined where they are of none. */
  networkOf?(weights: ReadonlyMap<string, readonly number[]>): NetworkOptions | undefined
  /** Numbers worth watching from epoch to epoch, by their names: skip connections. */
  indicators?(architecture: Architecture): Readonly<Record<string, number>>
}

/** How supernets of a space can begin. */
export function stemsOf({ stems }: Pick<SearchSpace, 'stems'>): readonly [StemKind, ...StemKind[]] {
  return stems ?? ['cifar']
}

/** The nodes of a group; where it has none each row is one by itself. */
export function nodesOf({ nodes, rows }: Pick<ChoiceGroup, 'nodes' | 'rows'>): readonly GraphNode[] {
  return nodes ?? Array.from({ length: rows }, (_, row) => ({ rows: [row], keeps: 1 }))
}

/** How many rows of a group an architecture keeps. */
export function keptRows(group: Pick<ChoiceGroup, 'nodes' | 'rows'>): number {
  return nodesOf(group).reduce((sum, { rows, keeps }) => sum + Math.min(keeps, rows.length), 0)
}
