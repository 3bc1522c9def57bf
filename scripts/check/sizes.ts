/** Limits on the sizes of files and functions: a median, a 90th percentile and a hard stop. */
import type { MeasuredFunction } from './functions.ts'
import type { Source, Violation } from './sources.ts'

interface Limits {
  readonly median: number
  readonly ninth: number
  readonly most: number
}

interface Sized {
  readonly path: string
  readonly line: number
  readonly name: string
  readonly lines: number
}

interface Report {
  readonly violations: Violation[]
  readonly summary: string
}

/** A file that fits on three screens, a function that fits on a third of one, are read in one go. */
const fileLimits: Limits = { median: 150, ninth: 350, most: 500 }
const functionLimits: Limits = { median: 10, ninth: 40, most: 80 }

/** The limits as CONTRIBUTING.md states them. */
export function limitLines(): string[] {
  const text = ({ median, ninth, most }: Limits) =>
    `half of all have at most ${median} lines, nine of ten at most ${ninth}, none more than ${most}`
  return [`Sizes, which the check keeps: of files ${text(fileLimits)}; of functions ${text(functionLimits)}.`]
}

/** Lines of files, checked. */
export function fileSizes(sources: readonly Source[]): Report {
  const sized = sources.map(({ path, text }) => ({ path, line: 1, name: 'file', lines: lineCount(text) }))
  return report('file', sized, fileLimits)
}

/** Lines of functions, checked. */
export function functionSizes(functions: readonly MeasuredFunction[]): Report {
  return report('function', functions, functionLimits)
}

function lineCount(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}

function report(kind: string, sized: readonly Sized[], limits: Limits): Report {
  const sorted = [...sized].sort((a, b) => a.lines - b.lines)
  const [median, ninth, most] = [0.5, 0.9, 1].map((share) => percentile(sorted, share))
  const tooLong = sorted.filter(({ lines }) => lines > limits.most)
  const violations = [
    ...tooLong.map(({ path, line, name, lines }) =>
      message(path, line, `${name} has ${lines} lines`, limits.most),
    ),
    ...over(`median ${kind}`, median, limits.median),
    ...over(`90th percentile ${kind}`, ninth, limits.ninth),
  ]
  const numbers = [median, ninth, most].map((item) => item?.lines ?? 0)
  return {
    violations,
    summary: `${kind}s: median ${numbers[0]}, 90th percentile ${numbers[1]}, most ${numbers[2]} lines (limits ${limits.median}, ${limits.ninth}, ${limits.most})`,
  }
}

/** Nearest rank: the smallest item that at least this share of all items does not exceed. */
function percentile(sorted: readonly Sized[], share: number): Sized | undefined {
  return sorted[Math.ceil(share * sorted.length) - 1]
}

function over(what: string, item: Sized | undefined, limit: number): Violation[] {
  if (!item || item.lines <= limit) return []
  return [message(item.path, item.line, `${what} has ${item.lines} lines`, limit)]
}

function message(path: string, line: number, text: string, limit: number): Violation {
  return { path, line, message: `${text}; the limit is ${limit}` }
}
