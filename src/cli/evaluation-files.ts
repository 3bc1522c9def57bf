/** What an evaluation leaves in files: per-class accuracy and the confusion matrix as CSV (RFC 4180). */
import { join } from 'node:path'
import { makeFolder, writeFileAtomic } from '../runs/files.ts'
import type { WeightsEvaluation } from '../train/evaluate-weights.ts'

/** One row for each class: how many images it has, how many were told right, and their part of it. */
export function perClassCsv({ classes, confusion }: WeightsEvaluation): string {
  const rows = classes.map((name, label) => {
    const images = confusion[label].reduce((sum, count) => sum + count, 0)
    const correct = confusion[label][label]
    return [name, images, correct, images === 0 ? '' : (correct / images).toFixed(6)]
  })
  return csv([['class', 'images', 'correct', 'accuracy'], ...rows])
}

/** Rows: the classes of the images; columns: what they were taken for. */
export function confusionCsv({ classes, confusion }: WeightsEvaluation): string {
  return csv([['class', ...classes], ...classes.map((name, label) => [name, ...confusion[label]])])
}

function csv(rows: readonly (readonly (string | number)[])[]): string {
  return rows.map((row) => `${row.map(field).join(',')}\r\n`).join('')
}

function field(value: string | number): string {
  const text = String(value)
  // Spreadsheets would compute what begins like a formula.
  const safe = /^[=+@]/.test(text) || /^-\D/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** Writes both files; returns their paths. @throws {DdsasError} `disk` when they cannot be written. */
export function writeEvaluation(folder: string, evaluation: WeightsEvaluation): string[] {
  makeFolder(folder)
  const files = { 'per-class.csv': perClassCsv(evaluation), 'confusion.csv': confusionCsv(evaluation) }
  return Object.entries(files).map(([name, text]) => {
    const path = join(folder, name)
    writeFileAtomic(path, text)
    return path
  })
}
