/** ONNX Runtime, in its build for WebAssembly that npm alone installs, for tests that run exported models. */
import { env, InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-web'
import protobuf from 'protobufjs/light.js'
import { z } from 'zod'
import { Tensor } from '../../../src/torch/index.ts'

env.wasm.numThreads = 1

/** Images as a model takes them. */
export interface Feed {
  readonly type: 'float32' | 'uint8'
  readonly data: Float32Array | Uint8Array
  /** [n, 3, h, w]. */
  readonly shape: readonly number[]
}

const sideSchema = z.array(z.union([z.string(), z.number()]))

/** Shapes of the one input, `images`, and the one output, `logits`, of a model; throws where it has others. */
function shapesOf(session: InferenceSession): { images: (string | number)[]; logits: (string | number)[] } {
  const [inputs, outputs] = [session.inputMetadata, session.outputMetadata]
  const names = [...inputs, ...outputs].map(({ name }) => name).join()
  if (names !== 'images,logits') throw new Error(`the model has the values ${names}`)
  const [images, logits] = [inputs[0], outputs[0]].map((value) =>
    sideSchema.parse('shape' in value ? value.shape : undefined),
  )
  return { images, logits }
}

/**
 * Runs a model on each feed, which may differ in how many images they have, and returns the logits [n, classes].
 * Throws where the model's input and output do not leave that number open.
 */
export async function runOnnx(model: Uint8Array, ...feeds: readonly Feed[]): Promise<Tensor[]> {
  const session = await InferenceSession.create(model)
  try {
    const { images, logits } = shapesOf(session)
    if (images[0] !== 'batch' || logits[0] !== 'batch')
      throw new Error(`the batch is fixed: [${images}] to [${logits}]`)
    const found: Tensor[] = []
    for (const { type, data, shape } of feeds) {
      const input = new OnnxTensor(type, data, shape)
      const result = (await session.run({ images: input })).logits
      if (!(result.data instanceof Float32Array)) throw new Error(`logits of type ${result.type}`)
      found.push(Tensor.from(result.data, result.dims))
    }
    return found
  } finally {
    await session.release()
  }
}

const pair = { fields: { key: { type: 'string', id: 1 }, value: { type: 'string', id: 2 } } }
const properties = { rule: 'repeated', type: 'Pair', id: 14 }
const messages = protobuf.Root.fromJSON({ nested: { Pair: pair, Model: { fields: { properties } } } })
const metadataSchema = z.object({ properties: z.array(z.object({ key: z.string(), value: z.string() })) })

/** The metadata of a model, read by the field numbers of onnx.proto. */
export function metadataOf(model: Uint8Array): Record<string, string> {
  const found = metadataSchema.parse(messages.lookupType('Model').decode(model))
  return Object.fromEntries(found.properties.map(({ key, value }) => [key, value]))
}
