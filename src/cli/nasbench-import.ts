/** `ddsas nasbench import`: makes a table of what was published. */
import { SingleBar } from 'cli-progress'
import { Command } from 'commander'
import {
  type ImportProgress,
  importable,
  importTable,
  type TableContent,
  writeTable,
} from '../benchmarks/index.ts'

interface ImportFlags {
  readonly out: string
  readonly json?: boolean
}

export function importCommand(): Command {
  return new Command('import')
    .description('make a table of the results that were published')
    .argument('<source>', importable)
    .requiredOption('--out <file>', 'where the table is written; one that is there is replaced')
    .option('--json', 'print the result as JSON')
    .action(importAction)
}

async function importAction(source: string, { out, json }: ImportFlags): Promise<void> {
  const start = performance.now()
  const { onProgress, stop } = process.stderr.isTTY ? progressBar() : progressLines()
  let content: TableContent
  try {
    content = await importTable(source, { onProgress })
  } finally {
    stop()
  }
  writeTable(out, content)
  const { architectures, absent, keys, columns } = content
  const result = {
    ...{ table: out, source: content.source, rows: keys.length, of: architectures },
    columns: columns.map(({ name }) => name),
    absent,
    seconds: (performance.now() - start) / 1000,
  }
  console.log(json ? JSON.stringify(result) : resultText(result))
}

function resultText({
  table,
  rows,
  of,
  absent,
  seconds,
}: {
  table: string
  rows: number
  of: number
  absent: readonly string[]
  seconds: number
}): string {
  const lines = [
    `${table}: ${rows.toLocaleString('en-US')} of ${of.toLocaleString('en-US')} architectures, in ${seconds.toFixed(1)} s`,
  ]
  if (absent.length > 0) lines.push(`the source has no ${absent.join(', ')}`)
  return lines.join('\n')
}

interface ProgressView {
  readonly onProgress: (progress: ImportProgress) => void
  readonly stop: () => void
}

function progressBar(): ProgressView {
  const format = 'reading [{bar}] {percentage}%, {architectures} architectures'
  const bar = new SingleBar({ format, hideCursor: true, gracefulExit: false })
  return {
    onProgress: ({ done, total, architectures }) => {
      if (bar.isActive) bar.update(done, { architectures })
      else bar.start(total, done, { architectures })
    },
    stop: () => bar.stop(),
  }
}

/** A line every ten seconds, on the error output: what takes no longer has none. */
function progressLines(): ProgressView {
  let last = performance.now()
  return {
    onProgress: ({ done, total, architectures }) => {
      if (performance.now() - last < 10_000) return
      last = performance.now()
      console.error(`${((100 * done) / total).toFixed(0)} % read, ${architectures} architectures`)
    },
    stop: () => {},
  }
}
