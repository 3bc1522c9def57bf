/** The same short search without a limit that binds and with three that do: what its choice costs, epoch by epoch, as limits.csv. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runSearch } from '../../src/search/run.ts'

const [data = 'data', runs = 'runs/limits'] = process.argv.slice(2)
const limits = ['1G', '3.5M', '2.8M', '2.2M']
const settings = [
  'network.channels=4',
  'network.cells=3',
  'data.images=400',
  'data.batch=16',
  'evaluation.images=50',
  'ddsas.window=3',
  'archOptimizer.lr=0.03',
  'limits.rate=1',
  'limits.steps=3',
]
const lines = ['limit,epoch,cost,unlimited,lambda']
for (const limit of limits) {
  await runSearch(
    {
      ...{ preset: 'demo', data, seed: 0, epochs: 8, threads: 1 },
      settings: [...settings, `limits.parameters="${limit}"`],
      out: join(runs, limit),
    },
    {
      epoch: ({ epoch, limits: reports }) => {
        const { cost, unlimited, lambda } = reports?.parameters ?? {}
        lines.push([limit, epoch + 1, cost, unlimited, lambda?.toFixed(3)].join(','))
      },
    },
  )
  writeFileSync(join(import.meta.dirname, 'limits.csv'), `${lines.join('\n')}\n`)
}
