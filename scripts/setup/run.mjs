/** What the steps of the set-up share: an error with an exit code, digests with stamps, and running a command. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** One line, thing and remedy, with the exit code: 2 for what is missing, 1 for a build that failed. */
export class SetupError extends Error {
  constructor(message, exitCode) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Full path of a program, searched as a shell would, or undefined. */
export function which(program, path = process.env.PATH ?? '') {
  for (const folder of path.split(delimiter)) {
    const file = join(folder, program)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not in this folder.
    }
  }
  return undefined
}

/** Every file below a folder, sorted, so that a digest does not depend on the file system's order. */
export function filesBelow(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** SHA-256 over names and contents of files, and over further values that a step depends on. */
export function digest(files, values = {}) {
  const hash = createHash('sha256').update(JSON.stringify(values))
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(file))
  return hash.digest('hex')
}

export function readStamp(file) {
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
}

/** Written aside and renamed: a reader sees the old text or the new, never half of one. */
export function writeWhole(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  const aside = `${file}.${process.pid}`
  writeFileSync(aside, `${text}\n`)
  renameSync(aside, file)
}

/**
 * Runs a command to its end with no input and returns its exit code and joined output. A signal that ends the set-up
 * ends the command and its children too, as a compiler left behind would write into the next set-up's build.
 */
export function run(command, args, options = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options })
    const output = []
    const stop = (signal) => {
      killGroup(child.pid)
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
    process.once('SIGINT', stop).once('SIGTERM', stop)
    const finish = (code) => {
      process.off('SIGINT', stop).off('SIGTERM', stop)
      done({ code, output: Buffer.concat(output).toString() })
    }
    child.stdout.on('data', (part) => output.push(part))
    child.stderr.on('data', (part) => output.push(part))
    child.on('error', (error) => finish(error.code === 'ENOENT' ? 127 : 126))
    child.on('close', (code) => finish(code ?? 1))
  })
}

function killGroup(pid) {
  try {
    if (pid) process.kill(-pid, 'SIGTERM')
  } catch {
    // It has just ended by itself.
  }
}

/** The part of a log worth showing: from its first error on, at most `lines` lines; without one, its end. */
export function excerpt(output, lines = 40) {
  const all = output.trimEnd().split('\n')
  const first = all.findIndex((line) => /\berror\b/i.test(line))
  return (first < 0 ? all.slice(-lines) : all.slice(first, first + lines)).join('\n')
}
