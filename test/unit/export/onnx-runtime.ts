/** ONNX Runtime, where it is installed, for tests that run exported models. */
import { createRequire } from 'node:module'
import { Tensor } from '../../../src/torch/index.ts'

/** The part of onnxruntime-web that is used here. */
interface Runtime {
  readonly env: { readonly wasm: { numThreads: number }; logLevel: string }
  readonly Tensor: new (type: string, data: Float32Array | Uint8Array, shape: readonly number[]) => unknown
  readonly InferenceSession: { create(model: Uint8Array): Promise<Session> }
}

interface Session {
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  run(
    feeds: Readonly<Record<string, unknown>>,
  ): Promise<Record<string, { data: Float32Array; dims: number[] }>>
}

function load(): Runtime | undefined {
  try {
    const runtime = createRequire(import.meta.url)('onnxruntime-web') as Runtime
    runtime.env.wasm.numThreads = 1
    return runtime
  } catch {
    return undefined
  }
}

const runtime = load()

/** For node:test's `skip`: false, or why no model can be run. */
export const withoutOnnxRuntime = runtime ? false : 'onnxruntime-web is not installed'

/** Runs a model on `images` of a type and returns its logits; also checks the names of input and output. */
export async function runOnnx(
  model: Uint8Array,
  images: {
    readonly type: 'float32' | 'uint8'
    readonly data: Float32Array | Uint8Array
    readonly shape: readonly number[]
  },
): Promise<Tensor> {
  if (!runtime) throw new Error('the test should have been skipped')
  const session = await runtime.InferenceSession.create(model)
  if (session.inputNames.join() !== 'images' || session.outputNames.join() !== 'logits')
    throw new Error(`the model maps ${session.inputNames} to ${session.outputNames}`)
  const { logits } = await session.run({ images: new runtime.Tensor(images.type, images.data, images.shape) })
  return Tensor.from(logits.data, logits.dims)
}
