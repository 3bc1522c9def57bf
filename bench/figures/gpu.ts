/** What was measured on a GPU (`bench/gpu/results`), as tables and sentences. */
import { z } from 'zod'
import { DdsasError } from '../../src/errors.ts'
import { readJson } from '../../src/runs/files.ts'
import { codeText, machineSchema } from '../machine.ts'
import { shapeSchema, shapeText } from '../settings.ts'
import { spreadText, timingSchema, turnsText } from '../spread.ts'
import { mebibytes, tableLines } from '../table.ts'

const schema = z.object({
  machine: machineSchema.omit({ kernels: true }).extend({ gpu: z.string() }),
  shape: shapeSchema,
  timings: z.array(timingSchema).min(2),
  launches: z.array(z.number()),
  /** Of the float32 graph. */
  lengths: z.array(z.object({ subspace: z.number(), seconds: z.number() })).min(2),
  checks: z
    .object({
      /** Worst relative error of the operators. */
      float32: z.number(),
      bfloat16: z.number(),
      /** Worst relative difference of a replayed step. */
      replay: z.number(),
    })
    .partial(),
})

export type GpuResults = z.infer<typeof schema>

export function readGpu(path: string): GpuResults {
  const parsed = schema.safeParse(readJson(path))
  if (parsed.success) return parsed.data
  const [{ path: where, message }] = parsed.error.issues
  throw new DdsasError('data', `${path} has ${where.join('.') || 'its top'}: ${message}; measure it again`)
}

/** A contestant by its name. Throws DdsasError 'data' where the results have none. */
export function timingOf({ timings }: Pick<GpuResults, 'timings'>, name: string) {
  const found = timings.find((timing) => timing.name === name)
  if (found !== undefined) return found
  throw new DdsasError('data', `the results on a GPU have no '${name}'; measure them again`)
}

export const milliseconds = (seconds: number, digits = 1) => (1000 * seconds).toFixed(digits)

/** The block of bench/README.md. */
export function gpuLines(results: GpuResults): string[] {
  const { machine, shape, timings, launches, lengths } = results
  const plain = timingOf(results, 'plain, NCHW').median
  const byLength = lengths.map(({ subspace, seconds }) => `L = ${subspace} ${milliseconds(seconds)} ms`)
  const [base, last] = [
    lengths.find(({ subspace }) => subspace === 28) ?? lengths[0],
    lengths[lengths.length - 1],
  ]
  return [
    `One ${machine.gpu}, ${machine.processor}, ${machine.cores} cores, libtorch ${machine.libtorch}; ` +
      `${codeText(machine)}. **Kernels of later commits were not run on a GPU.**`,
    '',
    ...tableLines({
      title: `A search step, ${shapeText(shape)}, ${turnsText(timings)}, every step waited for`,
      columns: ['', 'ms (quartiles)', 'than plain, NCHW', 'peak MiB of tensors', 'launches'],
      rows: timings.map((timing, index) => [
        timing.name,
        spreadText(timing, 1000, 1),
        `${(plain / timing.median).toFixed(2)} x`,
        mebibytes(timing.peak),
        launches[index].toString(),
      ]),
    }),
    '',
    `By length, float32 graph: ${byLength.join(', ')} (L = ${last.subspace} takes ` +
      `${(last.seconds / base.seconds).toFixed(2)} times L = ${base.subspace}). ${checkText(results)}${launchText(results)}`,
  ]
}

function checkText({ checks }: GpuResults): string {
  const { float32, bfloat16, replay } = checks
  if (float32 === undefined || bfloat16 === undefined || replay === undefined) return ''
  const replayed = replay === 0 ? 'to the bit' : `to ${replay.toExponential(0)}`
  return (
    `Operators agreed with float64 to ${float32.toExponential(0)} (float32) and ${bfloat16.toExponential(0)} (bfloat16), ` +
    `replayed steps with computed ones ${replayed}. `
  )
}

/** What a launch takes in the graph, by those of the same step computed. */
function launchText(results: GpuResults): string {
  const { timings, launches } = results
  const eager = launches[timings.findIndex(({ name }) => name === 'ours, float32')]
  const [graph, half] = ['float32', 'bfloat16'].map((type) => timingOf(results, `ours, ${type}, graph`))
  return (
    `A launch of the graph takes ${(1e6 * (graph.median / eager)).toFixed(0)} us on average: bfloat16 takes ` +
    `${(half.peak / graph.peak).toFixed(2)} of the memory and ${(half.median / graph.median).toFixed(2)} of the time.`
  )
}
