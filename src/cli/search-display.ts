/** How a search shows itself. */

import type { EpochReport } from '../search/report.ts'
import type { RunStart } from '../search/run.ts'
import { type RunDisplay, runDisplay } from './run-display.ts'
import { describeStart, epochLine } from './search-text.ts'

/** What a search ends with. */
interface Found {
  /** Path of the run. */
  readonly run: string
  readonly architecture: unknown
  /** As its space writes it. */
  readonly text: string
  /** Paths. */
  readonly drawings: readonly string[]
}

/** The display for `--json`, for a terminal, or for a file or pipe. */
export function searchDisplay(json: boolean, resumed: boolean): RunDisplay<RunStart, EpochReport, Found> {
  return runDisplay(json, {
    start: (about) => describeStart(about, resumed),
    epoch: epochLine,
    result: ({ run, text, drawings }) => [
      `\n${text}\n\nrun:      ${run}`,
      ...drawings.map((path) => `drawing:  ${path}`),
    ],
  })
}
