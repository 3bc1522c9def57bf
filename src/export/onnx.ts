/** Writes a trained network as an ONNX model: images in, logits out, any batch size. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import type { Program, Shape } from '../nn/index.ts'
import { programOf } from '../spaces/network-shape.ts'
import { type Tensor, tidy } from '../torch/index.ts'
import { counted } from '../words.ts'
import { OnnxGraph } from './onnx-graph.ts'
import { addProgram } from './onnx-network.ts'
import { encodeOnnx, type OnnxValue } from './onnx-schema.ts'
import {
  checkGivenTrained,
  checkTrained,
  type Normalisation,
  type TrainedNetwork,
  withoutAuxiliary,
} from './trained.ts'

/**
 * What the model takes: `normalised` images as in training, float32; `unit`: values from 0 to 1, float32; `bytes`:
 * values from 0 to 255, uint8. The last two normalise inside the model.
 */
export const onnxInputs = ['normalised', 'unit', 'bytes'] as const
export type OnnxInput = (typeof onnxInputs)[number]

/** Opset 17 and the file format of its time: read by ONNX Runtime since 1.12. */
const versions = { irVersion: 8, opset: 17 } as const

const inputName = 'images'

/**
 * The bytes of an ONNX model of the network in evaluation mode, without its auxiliary head. Input `images`
 * [batch, 3, h, w], output `logits` [batch, classes]; metadata hold the genotype, the class names, mean and std.
 * @throws {DdsasError} `checkpoint` for weights of another network; `input` for an image size the network cannot halve,
 * or for an input that must be normalised inside where mean and std are not known.
 */
export function exportOnnx(trained: TrainedNetwork, input: OnnxInput = 'normalised'): Uint8Array {
  checkGivenTrained(trained, 'exportOnnx')
  checkGiven(z.enum(onnxInputs), input, 'exportOnnx', 'input')
  const network = withoutAuxiliary(trained)
  checkTrained(network)
  return tidy(() => {
    const graph = new OnnxGraph(network.tensors)
    const program = programOf(network.shape)
    const { imageSide, shape } = network
    const images = normalised(graph, network.normalisation, input)
    const logits = addProgram(graph, program, images, [3, imageSide, imageSide])
    const sides: OnnxValue['shape'] = ['batch', 3, imageSide, imageSide]
    return encodeOnnx({
      ...versions,
      description: describe(network, input),
      metadata: metadataOf(network, input),
      nodes: graph.nodes,
      tensors: graph.tensors,
      inputs: [{ name: inputName, type: input === 'bytes' ? 'uint8' : 'float', shape: sides }],
      outputs: [{ name: logits, type: 'float', shape: ['batch', shape.classes] }],
    })
  })
}

/**
 * The bytes of an ONNX model of any program: input `images` [batch, ...input], its output [batch, ...output].
 * @throws {DdsasError} `input` naming a layer that ONNX has no nodes for; `checkpoint` for a weight that is missing.
 */
export function exportProgram(
  program: Program,
  tensors: ReadonlyMap<string, Tensor>,
  input: Shape,
  output: readonly number[],
): Uint8Array {
  const graph = new OnnxGraph(tensors)
  const result = addProgram(graph, program, inputName, input)
  return encodeOnnx({
    ...versions,
    description: 'layers by themselves',
    metadata: {},
    nodes: graph.nodes,
    tensors: graph.tensors,
    inputs: [{ name: inputName, type: 'float', shape: ['batch', ...input] }],
    outputs: [{ name: result, type: 'float', shape: ['batch', ...output] }],
  })
}

/** Adds what turns the model's input into normalised images. */
function normalised(graph: OnnxGraph, how: Normalisation | undefined, input: OnnxInput): string {
  if (input === 'normalised') return inputName
  if (how === undefined)
    throw new DdsasError(
      'input',
      `for '${input}' input give the mean and std that the images are normalised by`,
    )
  const scale = input === 'bytes' ? 255 : 1
  const constant = (name: string, values: readonly number[]) =>
    graph.constant(
      name,
      Float32Array.from(values, (value) => value * scale),
      [3, 1, 1],
    )
  const floats =
    input === 'bytes' ? graph.node('Cast', 'images.float', [inputName], { to: { int: 1 } }) : inputName
  const centred = graph.node('Sub', 'images.centred', [floats, constant('mean', how.mean)])
  return graph.node('Div', 'images.normalised', [centred, constant('std', how.std)])
}

function describe({ shape, imageSide }: TrainedNetwork, input: OnnxInput): string {
  const { kind, cells, channels, classes } = shape
  return `${kind} network of ${counted(cells, 'cell')}, C = ${channels}, ${counted(classes, 'class', 'classes')}, without its auxiliary head; ${input} RGB images of ${imageSide} px`
}

function metadataOf(network: TrainedNetwork, input: OnnxInput): Record<string, string> {
  const { shape, normalisation, classNames } = network
  return {
    genotype: JSON.stringify(shape.genotype),
    network: shape.kind,
    auxiliary_head: 'not included',
    input,
    ...(classNames ? { classes: JSON.stringify(classNames) } : {}),
    ...(normalisation
      ? { mean: JSON.stringify(normalisation.mean), std: JSON.stringify(normalisation.std) }
      : {}),
  }
}
