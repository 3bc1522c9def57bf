/** images.json of a run: which files of an image folder were drawn for each half. */
import { join } from 'node:path'
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { formatJson, readJson, writeFileAtomic } from '../runs/files.ts'
import type { RunFolder } from '../runs/folder.ts'
import type { SearchImages } from './images.ts'

const fileName = 'images.json'
/** A line of ten million files. */
const maxBytes = 2 ** 30

const files = z.array(z.string())
const drawnSchema = z.object({ train: files, valid: files })

/**
 * Writes down what was drawn, or compares it with what was written when the run began. Throws DdsasError 'input' where these
 * differ.
 */
export function recordDrawn(run: RunFolder, drawn: NonNullable<SearchImages['drawn']>): void {
  const path = join(run.path, fileName)
  const text = formatJson(drawn)
  const written = readJson(path, maxBytes)
  if (written === undefined) {
    writeFileAtomic(path, text)
    return
  }
  const before = drawnSchema.safeParse(written)
  if (before.success && formatJson(before.data) === text) return
  throw new DdsasError(
    'input',
    `${path} lists other files than the settings of the run draw: put it and config.json back as they were`,
  )
}
