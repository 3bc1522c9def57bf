/** Tables in Markdown, padded so that they read as well in a terminal, and the figures in them. */

/** The first column holds names, the others figures. */
export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** Title, a blank line, and the lines of the table. */
export function tableLines({ title, columns, rows }: Table): string[] {
  const widths = columns.map((name, index) =>
    Math.max(3, name.length, ...rows.map((row) => row[index].length)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [title, '', line(columns), line(rule), ...rows.map(line)]
}

export function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0)
}

/** 3.1 x: how many times larger. */
export function times(ratio: number, digits = 1): string {
  return `${ratio.toFixed(digits)} x`
}

export function percent(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits)} %`
}
