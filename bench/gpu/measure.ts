/** The search step on a GPU: the plain supernet, ours step by step, ours as a graph, in float32 and bfloat16. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ReplayedStep } from '../../src/loop/replay.ts'
import { recordGraph, resetPeakMemory, tensorMemory, tidy, withoutKernels } from '../../src/torch/index.ts'
import { machine } from '../machine.ts'
import { type Timing, takeTurns } from '../measure.ts'
import { spreadText } from '../spread.ts'
import { ourStep, plainStep, type StepShape } from '../step.ts'
import { mebibytes, times } from '../table.ts'
import type { Agreement } from './check.ts'

const turns = 15

/** Kernels, copies and fills of a step: those of a recording of it; 0 where it cannot be recorded. */
function launchesOf(step: () => void): number {
  tidy(step)
  try {
    const { graph } = recordGraph(() => tidy(step))
    const { launches } = graph
    graph.dispose()
    return launches
  } catch (error) {
    console.log(`not recorded: ${error instanceof Error ? error.message.slice(0, 200) : String(error)}`)
    return 0
  }
}

/** The name of the GPU, as its driver says. */
function gpuName(): string {
  const { stdout } = spawnSync('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader'], {
    encoding: 'utf8',
  })
  return stdout?.split('\n')[0]?.trim() || 'GPU'
}

/** `checks`: how well the operators and replayed steps agreed, as far as that was looked at before. */
export function measureSteps(device: string, out: string, checks: Partial<Agreement>): string[] {
  const shape: StepShape = { space: 'darts', channels: 16, cells: 8, batch: 64, subspace: 28, device }
  const half: StepShape = { ...shape, precision: 'bfloat16' }
  const eager = () => new ReplayedStep(undefined)
  const aten = ourStep(shape, eager(), 'ours without kernels')
  const contestants = [
    plainStep(shape, 'NCHW'),
    plainStep(shape, 'channels last'),
    { ...aten, step: () => withoutKernels(() => tidy(() => void aten.step())) },
    ...[shape, half].flatMap((one) => {
      const name = one.precision ?? 'float32'
      return [ourStep(one, eager(), `ours, ${name}`), ourStep(one, undefined, `ours, ${name}, graph`)]
    }),
  ]
  const launches = contestants.map((one) => (one.name.includes('graph') ? 1 : launchesOf(() => one.step())))
  const timings = takeTurns(
    contestants.map((one) => ({ ...one, step: () => tidy(() => void one.step()) })),
    turns,
    4,
  )
  const lengths = [15, 28, 56, 98].map((subspace) => {
    const contestant = ourStep({ ...shape, subspace })
    const step = () => tidy(() => void contestant.step())
    for (let i = 0; i < 3; i++) step()
    resetPeakMemory(device)
    const [{ median: seconds }] = takeTurns([{ name: `L ${subspace}`, device, step }], 9, 2)
    return { subspace, seconds, reserved: tensorMemory(device).reserved }
  })
  writeFileSync(
    join(out, 'gpu.json'),
    JSON.stringify(
      { machine: { ...machine(), gpu: gpuName() }, shape, timings, launches, lengths, checks },
      null,
      2,
    ),
  )
  return table(timings, launches, lengths)
}

function table(
  timings: readonly Timing[],
  launches: readonly number[],
  lengths: readonly { subspace: number; seconds: number }[],
): string[] {
  const base = Math.min(timings[0].median, timings[1].median)
  const rows = timings.map((timing, i) => {
    const { name, median, peak } = timing
    const spread = spreadText(timing, 1000, 2).padEnd(28)
    return `${name.padEnd(24)} ${spread} ${times(base / median, 2)}  ${mebibytes(peak)} MiB  ${launches[i]} launches`
  })
  const byLength = lengths.map(({ subspace, seconds }) => `L=${subspace} ${(1000 * seconds).toFixed(2)}`)
  return [
    'milliseconds of a step (quartiles), against the faster plain one',
    ...rows,
    `float32 graph by length: ${byLength.join(', ')}`,
  ]
}
