/** Each layer in PyTorch: the module it is, and the line that calls it where it has no module. */
import { DdsasError } from '../errors.ts'
import type { Layer, Pool2d } from '../nn/index.ts'

/** A number in which the uses of a class may differ. */
export interface Size {
  /** Channels that come in, that go out, or either; or a stride. */
  readonly role: 'in' | 'out' | 'channels' | 'stride'
  readonly value: number
}

export interface SizeArgument {
  readonly size: Size
  readonly keyword?: string
  /** Left out where it is 1. */
  readonly optional?: boolean
}

/** A module of PyTorch's own: `nn.Conv2d(16, 32, 3)`. */
export interface TorchModule {
  readonly kind: 'torch'
  readonly name: string
  readonly arguments: readonly (string | SizeArgument)[]
}

export interface LayerLine {
  readonly module?: TorchModule
  /** Without a module: applied to a name or a call. */
  readonly call?: (x: string) => string
}

function torch(name: string, ...args: TorchModule['arguments']): TorchModule {
  return { kind: 'torch', name: `nn.${name}`, arguments: args }
}

const size = (role: Size['role'], value: number): SizeArgument => ({ size: { role, value } })

/** What is not PyTorch's default, by keyword. */
function unusual(values: Readonly<Record<string, number>>, usual: number): string[] {
  return Object.entries(values).flatMap(([name, value]) => (value === usual ? [] : [`${name}=${value}`]))
}

function pool(kind: 'Max' | 'Avg', { kernel, stride, padding }: Pool2d): LayerLine {
  const more = unusual({ padding }, 0)
  if (kind === 'Avg' && padding > 0) more.push('count_include_pad=False')
  const name = `${kind.toLowerCase()}_pool2d`
  return {
    module: torch(`${kind}Pool2d`, String(kernel), { ...size('stride', stride), keyword: 'stride' }, ...more),
    call: (x) => `nn.functional.${name}(${[x, kernel, `stride=${stride}`, ...more].join(', ')})`,
  }
}

/**
 * The lines of a layer at `place`; none for one that consists of others.
 * @throws {DdsasError} `input` for a layer of one's own.
 */
export function layerLine(layer: Layer, place: string): LayerLine {
  switch (layer.type) {
    case 'conv2d': {
      const { inputs, outputs, kernel, stride, padding, dilation, groups, bias } = layer
      return {
        module: torch(
          'Conv2d',
          size('in', inputs),
          size('out', outputs),
          String(kernel),
          { ...size('stride', stride), keyword: 'stride', optional: true },
          ...unusual({ padding }, 0),
          ...unusual({ dilation }, 1),
          ...(groups === 1 ? [] : [{ ...size('channels', groups), keyword: 'groups' }]),
          ...(bias ? [] : ['bias=False']),
        ),
      }
    }
    case 'batch_norm2d': {
      const affine = layer.affine ? [] : ['affine=False']
      const momentum = layer.momentum === undefined ? [] : [`momentum=${layer.momentum}`]
      return { module: torch('BatchNorm2d', size('channels', layer.channels), ...affine, ...momentum) }
    }
    case 'linear':
      return { module: torch('Linear', size('in', layer.inputs), size('out', layer.outputs)) }
    case 'relu':
      return { module: torch('ReLU'), call: (x) => `torch.relu(${x})` }
    case 'sigmoid':
      return { module: torch('Sigmoid'), call: (x) => `torch.sigmoid(${x})` }
    case 'max_pool2d':
      return pool('Max', layer)
    case 'avg_pool2d':
      return pool('Avg', layer)
    case 'global_avg_pool2d':
      return { module: torch('AdaptiveAvgPool2d', '1'), call: (x) => `${x}.mean((2, 3), keepdim=True)` }
    case 'flatten':
      return { module: torch('Flatten'), call: (x) => `${x}.flatten(1)` }
    // a network that is exported leaves nothing out
    case 'dropout':
      return { module: torch('Dropout', '0.0'), call: (x) => x }
    case 'shift':
      return { call: (x) => `${x}[:, :, 1:, 1:]` }
    case 'channels':
      return { call: (x) => `${x}[:, ${layer.from}:${layer.to}]` }
    case 'channel_shuffle':
      return {
        module: torch('ChannelShuffle', String(layer.groups)),
        call: (x) => `nn.functional.channel_shuffle(${x}, ${layer.groups})`,
      }
    case 'zero':
      return { call: (x) => `torch.zeros_like(${layer.stride === 1 ? x : everyOther(x, layer.stride)})` }
    case 'concat':
    case 'gate':
      return {}
    case 'opaque':
      throw new DdsasError(
        'input',
        `the layer '${layer.name}' at ${place} cannot be exported to PyTorch: nobody knows its Python; use layers of ddsas for it`,
      )
  }
}

function everyOther(x: string, stride: number): string {
  return `${x}[:, :, ::${stride}, ::${stride}]`
}

/** The module of a layer that passes everything on. */
export const identity: TorchModule = torch('Identity')
