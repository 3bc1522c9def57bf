/** Runs the tests of the folders and files given: every *.test.ts below them, through node:test and tsx. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Node 20's test runner knows no patterns, so the files are collected here, sorted for the same order everywhere. */
function collectTests(paths) {
  const files = paths.flatMap((path) => {
    if (!statSync(path).isDirectory()) return [path]
    const names = readdirSync(path, { recursive: true }).map(String)
    return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(path, name))
  })
  return [...new Set(files)].sort()
}

/** One file at a time: tests compute on all cores, and side by side they would only slow and time out one another. */
function runTests(files) {
  const args = ['--import', 'tsx', '--test', '--test-concurrency=1', '--test-reporter=spec', ...files]
  // The test runner starts a process per file, and tests start the command line: both must be able to load TypeScript.
  const options = process.env.NODE_OPTIONS ?? ''
  const NODE_OPTIONS = options.includes('--import tsx') ? options : `${options} --import tsx`.trim()
  const { status, error } = spawnSync(process.execPath, args, {
    stdio: 'inherit',
    env: { ...process.env, NODE_OPTIONS },
  })
  if (error) throw error
  return status ?? 1
}

function main(paths) {
  const absent = paths.filter((path) => !existsSync(path))
  if (paths.length === 0 || absent.length > 0) {
    console.error(
      `test: ${absent.length ? `no such path: ${absent.join(', ')}` : 'name folders or files with tests'}`,
    )
    return 2
  }
  const files = collectTests(paths)
  if (files.length > 0) return runTests(files)
  console.error(`test: no *.test.ts below ${paths.join(', ')}`)
  return 2
}

process.exitCode = main(process.argv.slice(2))
