/** Figures in texts: blocks that are not what the results say, and measured figures that stand outside of them. */
import { prose } from '../../bench/figures/blocks.ts'
import type { Text } from '../../bench/figures/texts.ts'
import { lineAt, type Violation } from './sources.ts'

/** A number with the unit of a measurement, or a comparison by a number. */
const measured =
  /\d[\d.,]*(?:\s*(?:ms|us|MiB|GiB|GB\/s|G?FLOP(?:\/s)?|images\/s)(?![\w/])|\s+s (?:a|per) step|\s+times (?:as|faster|the))/g

/** The remedy stands in the message: figures come from results. */
export function figureViolations({ path, now, wanted }: Text): Violation[] {
  const stale =
    now === wanted
      ? []
      : [
          {
            path,
            line: firstDifference(now, wanted),
            message:
              'figures differ from the results; write them: node --import tsx scripts/figures.ts --write',
          },
        ]
  const text = prose(now)
  const stray = [...text.matchAll(measured)].map((found) => ({
    path,
    line: lineAt(text, found.index),
    message: `'${found[0]}' is measured and stands outside of a block of figures, which a script writes from results`,
  }))
  return [...stale, ...stray]
}

function firstDifference(now: string, wanted: string): number {
  const other = wanted.split('\n')
  return 1 + now.split('\n').findIndex((line, index) => line !== other[index])
}
