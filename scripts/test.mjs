/** Runs the tests of the folders and files given: every *.test.ts below them, through node:test. */
import { existsSync } from 'node:fs'
import { availableParallelism, freemem } from 'node:os'
import { resolve } from 'node:path'
import { compileAll } from './test/compile.mjs'
import { collectTests, divide } from './test/files.mjs'
import { killRunning, runFiles } from './test/process.mjs'
import { addUp, closingReport, reportOf } from './test/report.mjs'

const root = resolve(import.meta.dirname, '..')

/** Seconds that one file may take, ten times what the slowest needs: a hang is a failure, a slow machine is not. */
const defaultLimit = 900

/** What a file may need of memory at its peak. */
const bytesPerFile = 2 * 2 ** 30

/** As many at once as there are processors, as long as each has its memory. */
function jobCount() {
  const memory = process.availableMemory?.() ?? freemem()
  return Math.max(1, Math.min(availableParallelism(), Math.floor(memory / bytesPerFile)))
}

/** Runs lists of files, `jobs` at once, a process each, and prints the report of each when it ends. */
async function runAll(lists, jobs, options) {
  const waiting = [...lists]
  const results = []
  const work = async () => {
    for (let files = waiting.shift(); files !== undefined; files = waiting.shift()) {
      const result = await runFiles(files, options)
      results.push(result)
      console.log(reportOf(result))
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  return results
}

/** Tests of one thread side by side, then by themselves, with all threads, those that cannot be disturbed. */
async function runTests(files) {
  const began = performance.now()
  const limit = Number(process.env.DDSAS_TEST_LIMIT || defaultLimit)
  const { together, alone } = divide(root, files)
  const results = await runAll(together, jobCount(), { limit, threads: 1 })
  results.push(...(await runAll(alone, 1, { limit })))
  console.log(closingReport(results, (performance.now() - began) / 1000))
  const { fail, cancelled } = addUp(results)
  return fail + cancelled > 0 ? 1 : 0
}

async function main(paths) {
  const absent = paths.filter((path) => !existsSync(path))
  if (paths.length === 0 || absent.length > 0) {
    console.error(
      `test: ${absent.length ? `no such path: ${absent.join(', ')}` : 'name folders or files with tests'}`,
    )
    return 2
  }
  const files = collectTests(paths)
  if (files.length > 0) {
    await compileAll()
    return runTests(files)
  }
  console.error(`test: no *.test.ts below ${paths.join(', ')}`)
  return 2
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
])
  process.once(signal, () => {
    killRunning()
    process.exit(code)
  })
process.exitCode = await main(process.argv.slice(2))
