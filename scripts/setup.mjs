/**
 * Makes a fresh checkout ready to run: tools, npm packages, the native addon, the TypeScript build. Safe to repeat.
 *
 * Plain JavaScript on Node's own modules, as it runs before `npm ci`. Each step compares a digest of what it depends on
 * with the one it left behind, so a second run finds nothing to do and ends within a second.
 */
import { join, resolve } from 'node:path'
import { addonStep } from './setup/addon.mjs'
import { distStep } from './setup/dist.mjs'
import { withLock } from './setup/lock.mjs'
import { packagesStep } from './setup/packages.mjs'
import { SetupError } from './setup/run.mjs'
import { toolsStep } from './setup/tools.mjs'

const root = resolve(import.meta.dirname, '..')

/** In this order: each may rely on the ones before it. A step has `pending()`, cheap, and `run(say)`. */
const steps = [toolsStep, packagesStep, addonStep, distStep]

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 17)) return
  throw new SetupError(`Node ${process.versions.node} is too old; install Node 20.17 or newer`, 2)
}

function parse(args) {
  const unknown = args.find((arg) => arg !== '--quiet')
  if (unknown) throw new SetupError(`unknown option ${unknown}; the only one is --quiet`, 2)
  return { quiet: args.includes('--quiet') }
}

/** Runs what is pending; asks again for every step, as another set-up or an earlier step may have done its work. */
async function runPending(say) {
  for (const step of steps) {
    const made = step(root)
    if (made.pending()) await made.run(say)
  }
}

async function main() {
  const { quiet } = parse(process.argv.slice(2))
  checkNode()
  const say = (line) => console.log(`setup: ${line}`)
  if (steps.some((step) => step(root).pending())) {
    await withLock(join(root, 'build'), say, () => runPending(say))
  } else if (!quiet) {
    say('everything is ready')
  }
}

try {
  await main()
} catch (error) {
  if (!(error instanceof SetupError) && error.exitCode === undefined) throw error
  console.error(`setup: ${error.message}`)
  process.exitCode = error.exitCode
}
