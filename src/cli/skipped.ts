/** How a command tells of image files that it leaves out. */

import type { SkippedFile } from '../data/folder-images.ts'
import { commandLine } from '../words.ts'

/** As many as one reads. */
const most = 20

/** One line for each of the first files, one for all that follow, then none. */
export function skippedLine({ path, reason }: SkippedFile, count: number): string | undefined {
  if (count <= most) return `ddsas: skipped ${path}: ${reason}`
  return count === most + 1
    ? `ddsas: skipped more files, which are counted; list them all with \`${commandLine('data check DIR')}\``
    : undefined
}

/** Tells of a file on standard error, in words or as a JSON object. */
export function warnOfSkipped(file: SkippedFile, count: number, json = false): void {
  const line = json ? JSON.stringify({ kind: 'skip', ...file, count }) : skippedLine(file, count)
  if (line !== undefined) console.error(line)
}

/** ", 3 skipped": part of a line that counts images; nothing where all were sound. */
export function skippedPart(count: number): string {
  return count === 0 ? '' : `, ${count} skipped`
}
