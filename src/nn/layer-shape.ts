/** The shape a layer makes of a shape, and what that costs: multiply-adds, and layers with weights one after the other. */
import { DdsasError } from '../errors.ts'
import type { Conv2d, Layer, Pool2d, Sequence, Shape } from './layer.ts'

/** A shape that a layer cannot take; `what`: the layer and why. */
function refuse(what: string, [channels, height, width]: Shape): never {
  throw new DdsasError('input', `${what}, and is given ${channels} channels of ${height} x ${width} px`)
}

function windowed(side: number, { kernel, stride, padding }: Conv2d | Pool2d, dilation = 1): number {
  return Math.floor((side + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
}

/** That groups divide the channels. */
function checkGroups({ inputs, outputs, groups }: Conv2d, input: Shape): void {
  if (inputs % groups !== 0 || outputs % groups !== 0)
    refuse(`conv2d of ${inputs} to ${outputs} channels cannot be divided into ${groups} groups`, input)
}

/** That a window lies on the image, not on its padding alone. */
function checkPadding({ type, kernel, padding }: Pool2d, input: Shape): void {
  if (2 * padding > kernel)
    refuse(`${type} of ${kernel} x ${kernel} can be padded by half of that, not by ${padding}`, input)
}

function windows(layer: Conv2d | Pool2d, channels: number, input: Shape, dilation = 1): Shape {
  const [height, width] = [windowed(input[1], layer, dilation), windowed(input[2], layer, dilation)]
  if (height < 1 || width < 1)
    refuse(`${layer.type} of ${layer.kernel} x ${layer.kernel} needs larger images`, input)
  return [channels, height, width]
}

/** Channels side by side. */
export function concatenatedShape(shapes: readonly Shape[]): Shape {
  if (shapes.length === 0) throw new DdsasError('input', 'nothing is concatenated: give at least one part')
  const [[, height, width]] = shapes
  if (shapes.some((shape) => shape[1] !== height || shape[2] !== width)) {
    const sizes = shapes.map((shape) => shape.slice(1).join(' x ')).join(' and ')
    throw new DdsasError('input', `what is concatenated differs in size, ${sizes} px`)
  }
  return [shapes.reduce((sum, [channels]) => sum + channels, 0), height, width]
}

function checkChannels(layer: { readonly type: string }, wanted: number, input: Shape): void {
  if (input[0] !== wanted) refuse(`${layer.type} takes ${wanted} channels`, input)
}

function opaqueShape(layer: Extract<Layer, { type: 'opaque' }>, input: Shape): Shape {
  const shape: unknown = layer.outputShape?.(input)
  if (Array.isArray(shape) && shape.length === 3 && shape.every((side) => Number.isInteger(side) && side > 0))
    return [shape[0], shape[1], shape[2]]
  return refuse(`the layer '${layer.name}' gives no shape [channels, height, width] of its output`, input)
}

/** Throws DdsasError 'input' naming a layer that cannot take the shape. */
export function layerShape(layer: Layer, input: Shape): Shape {
  const [channels, height, width] = input
  switch (layer.type) {
    case 'relu':
    case 'sigmoid':
    case 'dropout':
      return input
    case 'batch_norm2d':
      checkChannels(layer, layer.channels, input)
      return input
    case 'conv2d':
      checkChannels(layer, layer.inputs, input)
      checkGroups(layer, input)
      return windows(layer, layer.outputs, input, layer.dilation)
    case 'max_pool2d':
    case 'avg_pool2d':
      checkPadding(layer, input)
      return windows(layer, channels, input)
    case 'shift':
      if (height < 2 || width < 2) refuse('shift needs larger images', input)
      return [channels, height - 1, width - 1]
    case 'channels':
      if (layer.to > channels) refuse(`channels ${layer.from} to ${layer.to} need as many`, input)
      return [layer.to - layer.from, height, width]
    case 'channel_shuffle':
      checkChannels(layer, layer.channels, input)
      if (channels % layer.groups !== 0)
        refuse(`channel_shuffle needs channels that can be divided into ${layer.groups} groups`, input)
      return input
    case 'zero':
      return [channels, Math.ceil(height / layer.stride), Math.ceil(width / layer.stride)]
    case 'global_avg_pool2d':
      return [channels, 1, 1]
    case 'flatten':
      return [channels * height * width, 1, 1]
    case 'linear':
      checkChannels(layer, layer.inputs, input)
      if (height > 1 || width > 1) refuse('linear takes vectors', input)
      return [layer.outputs, 1, 1]
    case 'concat':
      return concatenatedShape(layer.branches.map((branch) => sequenceShape(branch, input)))
    case 'gate': {
      const scales = sequenceShape(layer.layers, input)
      if (scales.join() !== [channels, 1, 1].join())
        refuse(`a gate of ${scales.join(' x ')} does not fit: it needs one number for each channel`, input)
      return input
    }
    case 'opaque':
      return opaqueShape(layer, input)
  }
}

export function sequenceShape(layers: Sequence, input: Shape): Shape {
  return layers.reduce((shape, { layer }) => layerShape(layer, shape), input)
}

/** What layers cost for one image. */
export interface Cost {
  /** Of convolutions and linear layers, without biases, as DARTS counts them. */
  readonly multiplyAdds: number
  /** Convolutions and linear layers on the longest way. */
  readonly depth: number
}

/** Throws DdsasError 'input' for a layer of one's own that does not say what it costs. */
function layerCost(layer: Layer, input: Shape): Cost {
  const free = { multiplyAdds: 0, depth: 0 }
  switch (layer.type) {
    case 'relu':
    case 'sigmoid':
    case 'batch_norm2d':
    case 'max_pool2d':
    case 'avg_pool2d':
    case 'shift':
    case 'channels':
    case 'channel_shuffle':
    case 'zero':
    case 'global_avg_pool2d':
    case 'flatten':
    case 'dropout':
      return free
    case 'conv2d': {
      const [outputs, height, width] = layerShape(layer, input)
      const taps = (layer.inputs / layer.groups) * layer.kernel ** 2
      return { multiplyAdds: outputs * taps * height * width, depth: 1 }
    }
    case 'linear':
      return { multiplyAdds: layer.inputs * layer.outputs, depth: 1 }
    case 'concat': {
      const costs = layer.branches.map((branch) => sequenceCost(branch, input))
      const multiplyAdds = costs.reduce((sum, cost) => sum + cost.multiplyAdds, 0)
      return { multiplyAdds, depth: Math.max(...costs.map(({ depth }) => depth)) }
    }
    case 'gate':
      return sequenceCost(layer.layers, input)
    case 'opaque':
      if (layer.multiplyAdds) return { multiplyAdds: layer.multiplyAdds(input), depth: 1 }
      throw new DdsasError(
        'input',
        `the layer '${layer.name}' does not say its multiplyAdds: it cannot be described`,
      )
  }
}

export function sequenceCost(layers: Sequence, input: Shape): Cost {
  let shape = input
  let total = { multiplyAdds: 0, depth: 0 }
  for (const { layer } of layers) {
    const { multiplyAdds, depth } = layerCost(layer, shape)
    total = { multiplyAdds: total.multiplyAdds + multiplyAdds, depth: total.depth + depth }
    shape = layerShape(layer, shape)
  }
  return total
}
