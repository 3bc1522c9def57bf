/** What scripts/gpu.sh runs on a machine with a GPU: checks, measurements, a search; one short table last. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeEngine, resolveDevice } from '../../src/torch/index.ts'
import { type Agreement, checkOperators, checkReplay } from './check.ts'
import { checkUpdates } from './check-updates.ts'
import { measureSteps } from './measure.ts'
import { runParity } from './parity.ts'
import { profileStep } from './profile.ts'
import { searchFor } from './search.ts'

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'build/gpu/out' },
    data: { type: 'string', default: 'data' },
    seconds: { type: 'string', default: '500' },
    steps: { type: 'string', default: 'operators,updates,replay,parity,measure,search' },
  },
})

const began = performance.now()
const elapsed = () => (performance.now() - began) / 1000
const device = resolveDevice('cuda')
mkdirSync(values.out, { recursive: true })

/** Goes into the results with what is measured. */
const agreement: Partial<Agreement> = {}

/** Each part writes its lines as it goes and returns those of the table. */
const parts: Readonly<Record<string, () => Promise<string[]> | string[]>> = {
  operators: () => checkOperators(device, agreement),
  updates: () => checkUpdates(device),
  replay: () => checkReplay(device, agreement),
  parity: () => runParity(),
  measure: () => measureSteps(device, values.out, agreement),
  profile: () => profileStep(),
  search: () => searchFor(Number(values.seconds) - elapsed() - 5, values.data, join(values.out, 'run')),
}

const table = [`libtorch ${describeEngine().libtorch}, ${device}`]
for (const name of values.steps.split(',')) {
  const start = elapsed()
  try {
    table.push(...(await parts[name]()))
  } catch (error) {
    // one part that fails must not cost the others their time
    console.log(error instanceof Error ? error.stack?.slice(0, 1500) : error)
    table.push(`${name}: FAILED: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`)
    process.exitCode = 1
  }
  table.push(`(${name}: ${(elapsed() - start).toFixed(0)} s)`)
}
writeFileSync(join(values.out, 'table.txt'), `${table.join('\n')}\n`)
console.log(`\n${table.join('\n')}`)
