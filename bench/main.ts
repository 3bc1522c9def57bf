/** `npm run bench -- step [--json]`: the search step against the plain supernet, and what its data cost. */
import { parseArgs } from 'node:util'
import { setThreads } from '../src/torch/index.ts'
import { searchPresets } from '../src/train/presets.ts'
import { withData } from './loader.ts'
import { machine, type Timing, takeTurns } from './measure.ts'
import { ourStep, plainStep, type StepShape } from './step.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    turns: { type: 'string', default: '7' },
    threads: { type: 'string', default: String(searchPresets.cifar10.threads) },
    channels: { type: 'string', default: '16' },
    cells: { type: 'string', default: '8' },
    batch: { type: 'string', default: '64' },
    subspace: { type: 'string', default: '28' },
  },
})

function benchStep(): { timings: Timing[]; report: Record<string, unknown> } {
  const shape: StepShape = {
    channels: Number(values.channels),
    cells: Number(values.cells),
    batch: Number(values.batch),
    subspace: Number(values.subspace),
  }
  const ours = withData(ourStep(shape), shape.batch)
  const turns = Number(values.turns)
  const timings = takeTurns([ours, plainStep(shape, 'NCHW'), plainStep(shape, 'channels last')], turns)
  const [own, nchw, channelsLast] = timings
  ours.reset()
  for (let turn = 0; turn < turns; turn++) ours.step()
  const report = {
    shape,
    machine: machine(),
    speedupNchw: nchw.median / own.median,
    speedupChannelsLast: channelsLast.median / own.median,
    memoryRatio: own.peak / nchw.peak,
    dataShare: ours.waited() / turns / own.median,
    timings,
  }
  return { timings, report }
}

function printTable({ timings, report }: ReturnType<typeof benchStep>): void {
  for (const { name, median, quartiles, peak } of timings) {
    const spread = quartiles.map((value) => value.toFixed(2)).join(' … ')
    console.log(
      `${name.padEnd(22)} ${median.toFixed(3)} s (${spread})  ${(peak / 2 ** 20).toFixed(0).padStart(5)} MiB`,
    )
  }
  const { speedupNchw, speedupChannelsLast, memoryRatio, dataShare } = report
  const show = (value: unknown) => Number(value).toFixed(3)
  console.log(
    `faster than plain NCHW ${show(speedupNchw)} times, channels last ${show(speedupChannelsLast)} times`,
  )
  console.log(`peak memory ${show(memoryRatio)} of plain NCHW; waiting for data ${show(dataShare)} of a step`)
}

if (positionals[0] !== 'step') {
  console.error(
    'bench: name what to measure: npm run bench -- step [--json] [--turns N] [--threads N] [--subspace L]',
  )
  process.exitCode = 2
} else {
  setThreads(Number(values.threads))
  const result = benchStep()
  if (values.json) console.log(JSON.stringify(result.report))
  else printTable(result)
}
