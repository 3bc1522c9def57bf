/** Where a step's time goes: the same step under NVIDIA's profiler, kernel by kernel. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { ReplayedStep } from '../../src/loop/replay.ts'
import { resolveDevice, synchronize, tidy } from '../../src/torch/index.ts'
import { ourStep } from '../step.ts'

const most = 28

export function profileStep(): string[] {
  const own = fileURLToPath(import.meta.url)
  const program = [process.execPath, '--import', 'tsx', own]
  const options = ['--clock-control', 'none', '--metrics', 'gpu__time_duration.sum', '--csv']
  const { stdout, status } = spawnSync('ncu', [...options, '--cache-control', 'none', ...program], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, DDSAS_PROFILED: '1' },
    timeout: 200_000,
  })
  const totals = new Map<string, { count: number; time: number }>()
  for (const line of stdout.split('\n')) {
    const fields = [...line.matchAll(/"((?:[^"]|"")*)"/g)].map(([, field]) => field)
    const time = Number(fields.at(-1)?.replaceAll(',', ''))
    if (fields.length < 10 || Number.isNaN(time)) continue
    const name = fields[4].replace(/\(.*/, '').slice(0, 110)
    const before = totals.get(name) ?? { count: 0, time: 0 }
    totals.set(name, { count: before.count + 1, time: before.time + time })
  }
  const all = [...totals.values()].reduce((sum, { time }) => sum + time, 0)
  const rows = [...totals].sort(([, a], [, b]) => b.time - a.time).slice(0, most)
  return [
    `profile (ncu ${status}): ${(all / 1e6).toFixed(2)} ms in kernels`,
    ...rows.map(
      ([name, { count, time }]) =>
        `${((100 * time) / all).toFixed(1).padStart(5)} %  ${count} x ${(time / count / 1000).toFixed(1)} us  ${name}`,
    ),
  ]
}

if (process.env.DDSAS_PROFILED !== undefined) {
  const device = resolveDevice('cuda')
  const contestant = ourStep(
    { space: 'darts', channels: 16, cells: 8, batch: 64, subspace: 28, device },
    new ReplayedStep(undefined),
  )
  tidy(() => void contestant.step())
  synchronize()
}
