/** What is printed of the tests: each file's own report, then what failed, what was skipped, what was slow, the totals. */
import { basename, dirname, resolve } from 'node:path'
import { totals } from './outcome.mjs'

const slowCount = 15

/** node:test's closing lines of one file: those of all files together come at the end. */
const closing = new RegExp(`^ℹ (?:${totals.join('|')}|duration_ms) [\\d.]+$`)

/** Where node:test begins to repeat what failed. */
const repeated = '\n✖ failing tests:\n'

/** What a process ran. */
const titleOf = ({ files }) =>
  files.length === 1
    ? files[0]
    : `${dirname(files[0])}: ${files.map((file) => basename(file, '.test.ts')).join(', ')}`

/** The report of one process in the words of node:test, below the names of its files. */
export function reportOf(result) {
  const { output, broken } = result
  const [once = ''] = output.split(repeated)
  const lines = once
    .trimEnd()
    .split('\n')
    .filter((line) => !closing.test(line))
  const title = titleOf(result)
  const why = broken ? [`✖ ${title} ${broken}`] : []
  return [
    `— ${title}, ${timesOf(result)
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
    ...section('slowest files:', slowest(results)),
    '',
    ...totals.map((name) => `ℹ ${name} ${counts[name]}`),
    `ℹ duration_ms ${(1000 * seconds).toFixed(0)}`,
  ].join('\n')
}

/** Totals over all processes; one that broke off counts as a test that failed. */
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

function failures(result) {
  const { notes, broken } = result
  const named = notes
    .filter(({ failed }) => failed !== undefined)
    .map((note) => `✖ ${fileOf(result, note)}: ${note.failed}`)
  return [...named, ...(broken ? [`✖ ${titleOf(result)}: ${broken}`] : [])]
}

function skips(result) {
  return result.notes
    .filter(({ skipped }) => skipped !== undefined)
    .map(
      (note) =>
        `﹣ ${fileOf(result, note)}: ${note.skipped}${note.reason === true ? '' : ` # ${note.reason}`}`,
    )
}

/** The file of a test, as it was asked for. */
function fileOf({ files }, { file }) {
  return files.find((name) => resolve(name) === file) ?? files[0]
}

function slowest(results) {
  const sorted = [...results].sort((a, b) => b.seconds - a.seconds)
  return sorted.slice(0, slowCount).map((result) => `${timesOf(result).join(', ')}  ${titleOf(result)}`)
}

/** How long a process took, and what it and its programs computed, which does not depend on what else the machine does. */
function timesOf({ seconds, notes }) {
  const { processor } = notes.find((note) => note.processor !== undefined) ?? {}
  const [clock, computed] = [seconds, processor].map((value) => (value?.toFixed(1) ?? '?').padStart(6))
  return [`${clock} s`, `${computed} s of processors`]
}

function section(title, lines) {
  return lines.length > 0 ? ['', title, ...lines] : []
}
