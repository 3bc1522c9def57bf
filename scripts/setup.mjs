/**
 * Makes a fresh checkout, or a package installed with npm, ready to run: tools, npm packages, the native addon, the
 * TypeScript build. Safe to repeat.
 *
 * Plain JavaScript on Node's own modules, as it runs before `npm ci`. Each step compares a digest of what it depends on
 * with the one it left behind, so a second run finds nothing to do and ends within a second.
 */
import { existsSync, realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { addonStep } from './setup/addon.mjs'
import { distStep } from './setup/dist.mjs'
import { withLock } from './setup/lock.mjs'
import { packagesStep } from './setup/packages.mjs'
import { SetupError } from './setup/run.mjs'
import { toolsStep } from './setup/tools.mjs'

const root = resolve(import.meta.dirname, '..')

/** In this order: each may rely on the ones before it. A step has `pending()`, cheap, and `run(say)`. */
const everything = [toolsStep, packagesStep, addonStep, distStep]

/** What `npm pack` needs: the addon is built where the package is installed. */
const packed = [packagesStep, distStep]

const options = ['--quiet', '--pack']

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 17)) return
  throw new SetupError(`Node ${process.versions.node} is too old; install Node 20.17 or newer`, 2)
}

function parse(args) {
  const unknown = args.find((arg) => !options.includes(arg))
  if (unknown) throw new SetupError(`unknown option ${unknown}; there are ${options.join(' and ')}`, 2)
  return { quiet: args.includes('--quiet'), steps: args.includes('--pack') ? packed : everything }
}

/** Runs what is pending; asks again for every step, as another set-up or an earlier step may have done its work. */
async function runPending(steps, say) {
  for (const step of steps) {
    const made = step(root)
    if (made.pending()) await made.run(say)
  }
}

/** Does what is pending; `quiet` says nothing where nothing is. */
export async function setUp({ quiet = false, steps = everything } = {}) {
  checkNode()
  const say = (line) => console.log(`setup: ${line}`)
  if (steps.some((step) => step(root).pending())) {
    await withLock(join(root, 'build'), say, () => runPending(steps, say))
  } else if (!quiet) {
    say('everything is ready')
  }
}

/** A folder that belongs to somebody else is nothing that went wrong in here. */
function explained(error) {
  if (error.code !== 'EACCES' && error.code !== 'EROFS') return error
  return new SetupError(
    `${error.path ?? root} cannot be written (${error.code}); set up as the owner of ${root}`,
    2,
  )
}

/** Runs the set-up by its command line; returns the exit code. */
export async function main(args) {
  try {
    await setUp(parse(args))
    return 0
  } catch (thrown) {
    const error = explained(thrown)
    if (!(error instanceof SetupError) && error.exitCode === undefined) throw error
    console.error(`setup: ${error.message}`)
    return error.exitCode
  }
}

const [, started = ''] = process.argv
if (existsSync(started) && realpathSync(started) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2))
}
