/** What an evaluation leaves in files: per-class accuracy and the confusion matrix as CSV (RFC 4180) and as charts. */
import { join } from 'node:path'
import { type Confusion, classScores, confusionChart, perClassChart } from '../export/evaluation-charts.ts'
import { writeDrawing, writeFileAtomic } from '../runs/files.ts'

/** One row for each class: how many images it has, how many were told right, and their part of it. */
export function perClassCsv(evaluation: Confusion): string {
  const rows = classScores(evaluation).map(({ name, images, correct, accuracy }) => [
    name,
    images,
    correct,
    accuracy?.toFixed(6) ?? '',
  ])
  return csv([['class', 'images', 'correct', 'accuracy'], ...rows])
}

/** Rows: the classes of the images; columns: what they were taken for. */
export function confusionCsv({ classes, confusion }: Confusion): string {
  return csv([
    ['class', ...classes],
    ...classes.map((name, label) => [name, ...Array.from(confusion[label])]),
  ])
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

/** Writes the tables, then the charts, to a folder that is there; returns their paths. @throws {DdsasError} `disk` when they cannot be written. */
export async function writeEvaluation(folder: string, evaluation: Confusion): Promise<string[]> {
  const tables = { 'per-class.csv': perClassCsv(evaluation), 'confusion.csv': confusionCsv(evaluation) }
  const written = Object.entries(tables).map(([name, text]) => {
    const path = join(folder, name)
    writeFileAtomic(path, text)
    return path
  })
  // Vega takes a tenth of a second to load, which no other command should wait for.
  const { drawChart } = await import('../export/chart.ts')
  const charts = { 'per-class': perClassChart(evaluation), confusion: confusionChart(evaluation) }
  for (const [name, spec] of Object.entries(charts))
    written.push(...writeDrawing(folder, name, await drawChart(spec)))
  return written
}
