/** The windows of a search as its run folder tells of them, while it runs or after. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { RunFolder } from '../runs/folder.ts'
import { parseWindow, type SearchWindow } from '../strategies/ddsas/window-record.ts'

const runSchema = z.custom<RunFolder>((value) => value instanceof RunFolder, {
  error: 'expected a RunFolder',
})

/**
 * What a search decided, window by window: one after the other as they are read, so that a long file takes no memory. A
 * last line that is half written is left out; there is none at all in runs that wrote no `windows.jsonl`.
 * @throws {DdsasError} `data` when one is read that is no window; `input` when the file cannot be read.
 */
export function readWindows(run: RunFolder): Generator<SearchWindow> {
  checkGiven(runSchema, run, 'readWindows', 'run')
  return windowsOf(run)
}

function* windowsOf(run: RunFolder): Generator<SearchWindow> {
  for (const { record, where } of run.windowLines()) yield parseWindow(record, where)
}
