/** ONNX Runtime as it is installed here: native, or its build for WebAssembly; what times a model, behind one small interface. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'

export interface RunOptions {
  readonly threads: number
  /** Shape of the model's one input, `images`. */
  readonly input: readonly number[]
}

/** A model that is loaded. */
export interface TimedModel {
  /** Runs it once; milliseconds. */
  time(): Promise<number>
  release(): Promise<void>
}

/** What runs ONNX models. */
export interface Runtime {
  readonly name: string
  readonly version: string
  load(model: Uint8Array, options: RunOptions): Promise<TimedModel>
}

/** What a caller may hand over as one. */
export const runtimeSchema = z.object({ name: z.string(), version: z.string(), load: z.function() })

/** The packages that hold it, the one that users run first. */
export const runtimeNames = ['onnxruntime-node', 'onnxruntime-web'] as const
export type RuntimeName = (typeof runtimeNames)[number]

/** What of the packages is used here; both have the same interface. */
interface OnnxRuntime {
  readonly env: { readonly versions: Readonly<Record<string, string | undefined>> }
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => object
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<Session>
  }
}

interface Session {
  run(feeds: Readonly<Record<string, object>>): Promise<unknown>
  release(): Promise<void>
}

const packageSchema = z.object({
  env: z.custom<OnnxRuntime['env']>((value) => typeof value === 'object' && value !== null),
  Tensor: z.custom<OnnxRuntime['Tensor']>((value) => typeof value === 'function'),
  InferenceSession: z.custom<OnnxRuntime['InferenceSession']>((value) => typeof value === 'function'),
})

/** The binaries are in the package; its script would fetch those for GPUs from elsewhere. */
const installs = {
  'onnxruntime-node': 'npm install --no-save --ignore-scripts onnxruntime-node',
  'onnxruntime-web': 'npm install --no-save onnxruntime-web',
} as const satisfies Record<RuntimeName, string>

/**
 * Loads ONNX Runtime. `load`: how a package is loaded by its name.
 * @throws {DdsasError} `setup` with the command that installs it, where it is absent or cannot run here.
 */
export async function openRuntime(
  name: RuntimeName = runtimeNames[0],
  load: (name: string) => Promise<unknown> = (path) => import(path),
): Promise<Runtime> {
  checkGiven(z.enum(runtimeNames), name, 'openRuntime', 'name')
  checkGiven(z.function(), load, 'openRuntime', 'load')
  let loaded: unknown
  try {
    loaded = await load(name)
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new DdsasError(
      'setup',
      `${name} cannot be loaded (${why}); install it beside ddsas: ${installs[name]}`,
      { cause: error },
    )
  }
  const parsed = packageSchema.safeParse(loaded)
  if (!parsed.success)
    throw new DdsasError('setup', `${name} is of a version that is not known here; ${installs[name]}@1.30.0`)
  const { env, Tensor, InferenceSession } = parsed.data
  return {
    name,
    version: env.versions.node ?? env.versions.web ?? env.versions.common ?? 'unknown',
    load: async (model, { threads, input }) => {
      const session = await InferenceSession.create(model, {
        executionProviders: [name === 'onnxruntime-node' ? 'cpu' : 'wasm'],
        graphOptimizationLevel: 'all',
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
      })
      return timedSession(session, { images: new Tensor('float32', noise(input), input) }, threads)
    },
  }
}

/**
 * On one thread a run takes what the processor spent on it, where that is less than what the clock says: what other programs
 * took away meanwhile is none of its time. On a quiet machine the two are the same.
 */
function timedSession(
  session: Session,
  feeds: Readonly<Record<string, object>>,
  threads: number,
): TimedModel {
  return {
    time: async () => {
      const before = process.cpuUsage()
      const start = performance.now()
      await session.run(feeds)
      const elapsed = performance.now() - start
      const { user, system } = process.cpuUsage(before)
      // other systems count processor time in ticks that are longer than a run
      const counted = threads === 1 && process.platform === 'linux' && user + system > 0
      return counted ? Math.min(elapsed, (user + system) / 1000) : elapsed
    },
    release: () => session.release(),
  }
}

/** Values from -1 to 1, the same each time. */
function noise(shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, length) => product * length, 1)
  return Float32Array.from({ length: count }, (_, index) => ((index * 7919) % 1000) / 500 - 1)
}
