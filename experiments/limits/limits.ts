/** The same short search without a limit that binds and with three that do: what its choice costs, epoch by epoch, as limits.csv. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runSearch } from '../../src/search/run.ts'

const [data = 'data', runs = 'runs/limits'] = process.argv.slice(2)
const limits = ['1G', '3.5M', '2.8M', '2.2M']
const settings = [
  'network.channels=4',
  'network.cells=3',
  'data.images=1200',
  'evaluation.images=200',
  'ddsas.window=5',
  'archOptimizer.lr=0.01',
  'limits.rate=1',
  'limits.steps=5',
]
const lines = ['strategy,limit,epoch,cost,unlimited,lambda']
for (const strategy of ['ddsas', 'darts'])
  for (const limit of limits) {
    const own = strategy === 'ddsas' ? settings : settings.filter((one) => !one.startsWith('ddsas.'))
    await runSearch(
      {
        ...{ preset: 'demo', strategy, data, seed: 0, epochs: 10, threads: 1 },
        settings: [...own, `limits.parameters="${limit}"`],
        out: join(runs, `${strategy}-${limit}`),
      },
      {
        epoch: ({ epoch, limits: reports }) => {
          const { cost, unlimited, lambda } = reports?.parameters ?? {}
          lines.push([strategy, limit, epoch + 1, cost, unlimited, lambda?.toFixed(3)].join(','))
        },
      },
    )
    writeFileSync(join(import.meta.dirname, 'limits.csv'), `${lines.join('\n')}\n`)
  }
