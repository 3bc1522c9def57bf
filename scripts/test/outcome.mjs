/** A reporter for node:test that notes, a JSON line each, what scripts/test.mjs adds up: totals, failures, skips. */

/** The totals that node:test tells at the end, in its order. */
export const totals = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo']

const totalPattern = new RegExp(`^(${totals.join('|')}) (\\d+)$`)

export default async function* notes(source) {
  for await (const { type, data } of source) {
    const note = noteOf(type, data)
    if (note) yield `${JSON.stringify(note)}\n`
  }
}

function noteOf(type, { name, nesting, message, skip }) {
  const total = type === 'test:diagnostic' && nesting === 0 && totalPattern.exec(message)
  if (total) return { total: total[1], count: Number(total[2]) }
  if (type === 'test:fail') return { failed: name }
  return type === 'test:pass' && skip !== undefined ? { skipped: name, reason: skip } : undefined
}
