/** A reporter for node:test that notes, a JSON line each, what scripts/test.mjs adds up: totals, failures, skips, CPU time. */
import { readFileSync } from 'node:fs'
import { sourcePath } from './compile.mjs'

/** The totals that node:test tells at the end, in its order. */
export const totals = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo']

const totalPattern = new RegExp(`^(${totals.join('|')}) (\\d+)$`)

export default async function* notes(source) {
  for await (const { type, data } of source) {
    const note = noteOf(type, data)
    if (note) yield `${JSON.stringify(note)}\n`
  }
  yield `${JSON.stringify({ processor: processorSeconds() })}\n`
}

/** Seconds of processor time of this process and the programs it started, as Linux counts them; elsewhere its own. */
function processorSeconds() {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1')
    const ticks = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
    return ticks.reduce((sum, count) => sum + Number(count), 0) / 100
  } catch {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  }
}

function noteOf(type, { name, nesting, message, skip, file: loaded }) {
  const file = loaded && sourcePath(loaded)
  const total = type === 'test:diagnostic' && nesting === 0 && totalPattern.exec(message)
  if (total) return { total: total[1], count: Number(total[2]) }
  if (type === 'test:fail') return { failed: name, file }
  return type === 'test:pass' && skip !== undefined ? { skipped: name, reason: skip, file } : undefined
}
