/** Layers as data: all that networks consist of, each torch.nn's module of that name or what torch.nn.functional has for it. */
import type { Tensor } from '../torch/index.ts'
import type { InitContext, Module } from './module.ts'

/** Channels, height and width of an image; a vector is [channels, 1, 1]. */
export type Shape = readonly [channels: number, height: number, width: number]

/** Convolution without bias unless `bias`: weight [outputs, inputs / groups, kernel, kernel]. */
export interface Conv2d {
  readonly type: 'conv2d'
  readonly inputs: number
  readonly outputs: number
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly dilation: number
  readonly groups: number
  readonly bias: boolean
}

/** eps 1e-5; `affine` adds a trained scale and shift for each channel. */
export interface BatchNorm2d {
  readonly type: 'batch_norm2d'
  readonly channels: number
  readonly affine: boolean
  /** By how much a batch moves the running statistics: 0.1 unless given. Kernels of ours know that one alone. */
  readonly momentum?: number
}

/** Windows of `kernel` x `kernel`; an average counts the pixels of the image alone, not the padding. */
export interface Pool2d {
  readonly type: 'max_pool2d' | 'avg_pool2d'
  readonly kernel: number
  readonly stride: number
  readonly padding: number
}

export interface Linear {
  readonly type: 'linear'
  readonly inputs: number
  readonly outputs: number
}

/** A sequence for each part of the result, side by side: their channels are concatenated. */
export interface Concat {
  readonly type: 'concat'
  readonly branches: readonly Sequence[]
}

/** Those from `from` to `to` (exclusive) of the channels. */
export interface Channels {
  readonly type: 'channels'
  readonly from: number
  readonly to: number
}

/** torch.nn.ChannelShuffle: channel j of group g of `groups`, by which `channels` can be divided, comes to place j groups + g. */
export interface ChannelShuffle {
  readonly type: 'channel_shuffle'
  readonly channels: number
  readonly groups: number
}

/** The input times what a sequence makes of it, spread over the pixels: squeeze-and-excite. */
export interface Gate {
  readonly type: 'gate'
  readonly layers: Sequence
}

/** A layer of one's own: it runs and trains; readers that need more than its forward pass name it in their refusal. */
export interface Opaque {
  readonly type: 'opaque'
  /** Names it in messages. */
  readonly name: string
  make(context: InitContext): OpaqueLayer
  outputShape(input: Shape): Shape
  /** Multiply-adds for one image of a shape; unknown where absent. */
  multiplyAdds?(input: Shape): number
}

export interface OpaqueLayer extends Module {
  /** `training`: normalise by the batch. */
  forward(x: Tensor, training: boolean): Tensor
}

export type Layer =
  | Conv2d
  | BatchNorm2d
  | Pool2d
  | Linear
  | Concat
  | Gate
  | Channels
  | ChannelShuffle
  | Opaque
  /**
   * `shift` leaves out the first row and column; `global_avg_pool2d` leaves one pixel; `flatten` makes images vectors; `dropout` leaves
   * out single elements where a pass says how likely that is, and nothing elsewhere.
   */
  | { readonly type: 'relu' | 'sigmoid' | 'shift' | 'global_avg_pool2d' | 'flatten' | 'dropout' }
  /** Zeros, of every `stride`-th pixel. */
  | { readonly type: 'zero'; readonly stride: number }

/** A layer at its place; its weights are `<name>.weight` and the like. What has no module in PyTorch has an empty name. */
export interface NamedLayer {
  readonly name: string
  readonly layer: Layer
}

/** Layers one after the other; an empty sequence is the identity. */
export type Sequence = readonly NamedLayer[]

/** torch.nn.Sequential below `name` ('' for none): layers named by position. */
export function sequential(name: string, layers: readonly Layer[]): Sequence {
  return layers.map((layer, index) => ({ name: name === '' ? String(index) : `${name}.${index}`, layer }))
}

/** A layer that is a function in PyTorch and has no weights, or whose parts are named themselves. */
export function functional(layer: Layer): NamedLayer {
  return { name: '', layer }
}

export const relu: Layer = { type: 'relu' }
export const sigmoid: Layer = { type: 'sigmoid' }
export const shift: Layer = { type: 'shift' }
export const globalAvgPool2d: Layer = { type: 'global_avg_pool2d' }
export const flatten: Layer = { type: 'flatten' }
export const dropout: Layer = { type: 'dropout' }

export interface ConvOptions {
  readonly stride?: number
  readonly padding?: number
  readonly dilation?: number
  readonly groups?: number
  readonly bias?: boolean
}

/** Padded to keep the size at stride 1 unless said otherwise. */
export function conv2d(inputs: number, outputs: number, kernel: number, options: ConvOptions = {}): Conv2d {
  const { stride = 1, dilation = 1, groups = 1, bias = false } = options
  const { padding = Math.floor((kernel - 1) / 2) * dilation } = options
  return { type: 'conv2d', inputs, outputs, kernel, stride, padding, dilation, groups, bias }
}

export function batchNorm2d(channels: number, affine: boolean, momentum?: number): BatchNorm2d {
  return { type: 'batch_norm2d', channels, affine, ...(momentum === undefined ? {} : { momentum }) }
}

/** 3x3 with padding 1 unless said otherwise. */
export function pool2d(kind: 'max' | 'avg', stride: number, kernel = 3, padding = 1): Pool2d {
  return { type: `${kind}_pool2d`, kernel, stride, padding }
}

export function linear(inputs: number, outputs: number): Linear {
  return { type: 'linear', inputs, outputs }
}

export function concat(branches: readonly Sequence[]): Concat {
  return { type: 'concat', branches }
}

export function gate(layers: Sequence): Gate {
  return { type: 'gate', layers }
}

export function channels(from: number, to: number): Channels {
  return { type: 'channels', from, to }
}

export function channelShuffle(channels: number, groups: number): ChannelShuffle {
  return { type: 'channel_shuffle', channels, groups }
}

export function zero(stride: number): Layer {
  return { type: 'zero', stride }
}

/** `prefix` and `name` with a dot between, where both are something. */
export function joinName(prefix: string, name: string): string {
  return prefix === '' || name === '' ? prefix + name : `${prefix}.${name}`
}

/** Every layer of a sequence in order, also those inside others, each with its whole name below `prefix`. */
export function flatLayers(layers: Sequence, prefix: string): NamedLayer[] {
  return layers.flatMap(({ name, layer }) => {
    const inner = layer.type === 'concat' ? layer.branches.flat() : layer.type === 'gate' ? layer.layers : []
    const whole = joinName(prefix, name)
    return [{ name: whole, layer }, ...flatLayers(inner, whole)]
  })
}

/** Whether layers end with zeros: a term is zero whatever comes before. */
export function isZero(layers: Sequence): boolean {
  return layers.at(-1)?.layer.type === 'zero'
}
