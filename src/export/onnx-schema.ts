/** The part of ONNX's `onnx.proto` that networks here need, with its field numbers, and an encoder for it. */
import protobuf from 'protobufjs/light.js'

const field = (type: string, id: number) => ({ type, id })
const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id })

const messages = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: field('int64', 1),
        producerName: field('string', 2),
        producerVersion: field('string', 3),
        docString: field('string', 6),
        graph: field('GraphProto', 7),
        opsetImport: repeated('OperatorSetIdProto', 8),
        metadataProps: repeated('StringStringEntryProto', 14),
      },
    },
    OperatorSetIdProto: { fields: { domain: field('string', 1), version: field('int64', 2) } },
    StringStringEntryProto: { fields: { key: field('string', 1), value: field('string', 2) } },
    GraphProto: {
      fields: {
        node: repeated('NodeProto', 1),
        name: field('string', 2),
        initializer: repeated('TensorProto', 5),
        input: repeated('ValueInfoProto', 11),
        output: repeated('ValueInfoProto', 12),
      },
    },
    NodeProto: {
      fields: {
        input: repeated('string', 1),
        output: repeated('string', 2),
        name: field('string', 3),
        opType: field('string', 4),
        attribute: repeated('AttributeProto', 5),
      },
    },
    AttributeProto: {
      fields: {
        name: field('string', 1),
        f: field('float', 2),
        i: field('int64', 3),
        ints: repeated('int64', 8),
        type: field('int32', 20),
      },
    },
    TensorProto: {
      fields: {
        dims: repeated('int64', 1),
        dataType: field('int32', 2),
        name: field('string', 8),
        rawData: field('bytes', 9),
      },
    },
    ValueInfoProto: { fields: { name: field('string', 1), type: field('TypeProto', 2) } },
    TypeProto: { fields: { tensorType: field('TensorTypeProto', 1) } },
    TensorTypeProto: { fields: { elemType: field('int32', 1), shape: field('TensorShapeProto', 2) } },
    TensorShapeProto: { fields: { dim: repeated('DimensionProto', 1) } },
    DimensionProto: { fields: { dimValue: field('int64', 1), dimParam: field('string', 2) } },
  },
})

/** TensorProto.DataType. */
export const elementTypes = { float: 1, uint8: 2, int64: 7 } as const
export type ElementType = keyof typeof elementTypes

/** AttributeProto.AttributeType. */
const attributeTypes = { float: 1, int: 2, ints: 7 } as const

export interface OnnxTensor {
  readonly name: string
  readonly type: ElementType
  readonly shape: readonly number[]
  /** Row-major, little-endian. */
  readonly data: Uint8Array
}

/** An attribute: a list of integers, or one float or integer. */
export type OnnxAttribute = readonly number[] | { readonly float: number } | { readonly int: number }

export interface OnnxNode {
  readonly operator: string
  readonly name: string
  readonly inputs: readonly string[]
  readonly attributes: Readonly<Record<string, OnnxAttribute>>
}

/** A graph's input or output; a dimension is a number, or a name where it may be any. */
export interface OnnxValue {
  readonly name: string
  readonly type: ElementType
  readonly shape: readonly (number | string)[]
}

export interface OnnxModel {
  readonly irVersion: number
  readonly opset: number
  readonly description: string
  readonly metadata: Readonly<Record<string, string>>
  /** Each node has one output, named as the node. */
  readonly nodes: readonly OnnxNode[]
  readonly tensors: readonly OnnxTensor[]
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
}

/** The bytes of an `.onnx` file. */
export function encodeOnnx(model: OnnxModel): Uint8Array {
  const message = {
    irVersion: model.irVersion,
    producerName: 'ddsas',
    docString: model.description,
    opsetImport: [{ domain: '', version: model.opset }],
    metadataProps: Object.entries(model.metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: 'network',
      node: model.nodes.map(nodeMessage),
      initializer: model.tensors.map(tensorMessage),
      input: model.inputs.map(valueMessage),
      output: model.outputs.map(valueMessage),
    },
  }
  return messages.lookupType('ModelProto').encode(message).finish()
}

function nodeMessage({ operator, name, inputs, attributes }: OnnxNode) {
  const attribute = Object.entries(attributes).map(([key, value]) => attributeMessage(key, value))
  return { opType: operator, name, input: inputs, output: [name], attribute }
}

function attributeMessage(name: string, value: OnnxAttribute) {
  if ('float' in value) return { name, type: attributeTypes.float, f: value.float }
  if ('int' in value) return { name, type: attributeTypes.int, i: value.int }
  return { name, type: attributeTypes.ints, ints: value }
}

function tensorMessage({ name, type, shape, data }: OnnxTensor) {
  return { name, dims: shape, dataType: elementTypes[type], rawData: data }
}

function valueMessage({ name, type, shape }: OnnxValue) {
  const dim = shape.map((length) =>
    typeof length === 'number' ? { dimValue: length } : { dimParam: length },
  )
  return { name, type: { tensorType: { elemType: elementTypes[type], shape: { dim } } } }
}
