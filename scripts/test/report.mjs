/** What is printed of the tests: each file's own report, then what failed, what was skipped, what was slow, the totals. */
import { totals } from './outcome.mjs'

const slowest = 15

/** node:test's closing lines of one file: those of all files together come at the end. */
const closing = new RegExp(`^ℹ (?:${totals.join('|')}|duration_ms) [\\d.]+$`)

/** Where node:test begins to repeat what failed. */
const repeated = '\n✖ failing tests:\n'

/** One file's report in the words of node:test, below its name. */
export function fileReport(result) {
  const { file, output, broken } = result
  const [once = ''] = output.split(repeated)
  const lines = once
    .trimEnd()
    .split('\n')
    .filter((line) => !closing.test(line))
  const why = broken ? [`✖ ${file} ${broken}`] : []
  return [
    `— ${file}, ${timesOf(result)
      .map((time) => time.trim())
      .join(', ')}`,
    ...lines,
    ...why,
  ].join('\n')
}

/** The end of the whole: its last lines are those with which node:test ends. */
export function closingReport(results, seconds) {
  const counts = addUp(results)
  return [
    ...section('failing tests:', results.flatMap(failures)),
    ...section('skipped tests:', results.flatMap(skips)),
    ...section('slowest files:', slowFiles(results)),
    '',
    ...totals.map((name) => `ℹ ${name} ${counts[name]}`),
    `ℹ duration_ms ${(1000 * seconds).toFixed(0)}`,
  ].join('\n')
}

/** Totals over all files; one that broke off counts as a test that failed. */
export function addUp(results) {
  const counts = Object.fromEntries(totals.map((name) => [name, 0]))
  for (const { notes, broken } of results) {
    for (const { total, count } of notes) if (total) counts[total] += count
    if (!broken) continue
    counts.tests += 1
    counts.fail += 1
  }
  return counts
}

function failures({ file, notes, broken }) {
  const names = notes.flatMap(({ failed }) => failed ?? [])
  return [...names, ...(broken ? [broken] : [])].map((name) => `✖ ${file}: ${name}`)
}

function skips({ file, notes }) {
  return notes
    .filter(({ skipped }) => skipped !== undefined)
    .map(({ skipped, reason }) => `﹣ ${file}: ${skipped}${reason === true ? '' : ` # ${reason}`}`)
}

function slowFiles(results) {
  const sorted = [...results].sort((a, b) => b.seconds - a.seconds)
  return sorted.slice(0, slowest).map((result) => `${timesOf(result).join(', ')}  ${result.file}`)
}

/** How long a file took, and what it and its programs computed, which does not depend on what else the machine does. */
function timesOf({ seconds, notes }) {
  const { processor } = notes.find((note) => note.processor !== undefined) ?? {}
  const [clock, computed] = [seconds, processor].map((value) => (value?.toFixed(1) ?? '?').padStart(6))
  return [`${clock} s`, `${computed} s of processors`]
}

function section(title, lines) {
  return lines.length > 0 ? ['', title, ...lines] : []
}
