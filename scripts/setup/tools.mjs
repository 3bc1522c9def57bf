/** First step of the set-up: the compiler, cmake, libtorch and fonts, installed with apt-get where they are missing. */
import { execFileSync } from 'node:child_process'
import { findLibtorch } from '../libtorch.mjs'
import { excerpt, run, SetupError, which } from './run.mjs'

/** What the set-up needs from the system: how it is found, Debian's package, what to do elsewhere. */
const tools = [
  {
    found: () => which('c++') ?? which('g++') ?? which('clang++'),
    package: 'g++',
    elsewhere: 'a C++17 compiler (on macOS: xcode-select --install)',
  },
  { found: () => which('cmake'), package: 'cmake', elsewhere: 'cmake (brew install cmake)' },
  { found: () => which('make'), package: 'make', elsewhere: 'make' },
  {
    found: () => findLibtorch(),
    package: 'libtorch-dev',
    elsewhere: 'libtorch (brew install pytorch, or pip install torch)',
  },
  { found: hasGloo, package: 'libgloo-dev', optional: true },
  { found: () => which('fc-list'), package: 'fontconfig', optional: true },
  { found: hasFonts, package: 'fonts-dejavu-core', optional: true },
]

/** Debian's libtorch comes without the headers of its Gloo; another libtorch has its own, or runs in one process. */
function hasGloo() {
  const libtorch = findLibtorch()
  return libtorch !== undefined && (libtorch.gloo || libtorch.source !== 'debian')
}

/** Drawings of cells and charts come out without letters on a system without any font; the rest works. */
function hasFonts() {
  if (!which('fc-list')) return false
  try {
    return (
      execFileSync('fc-list', { stdio: ['ignore', 'pipe', 'ignore'] })
        .toString()
        .trim() !== ''
    )
  } catch {
    return false
  }
}

/** Optional things are only ever installed along with apt-get; without it their absence must not stop anything. */
export function toolsStep() {
  const canInstall = which('apt-get') !== undefined
  const missing = tools.filter((tool) => (canInstall || !tool.optional) && !tool.found())
  return {
    pending: () => missing.length > 0,
    run: (say) => (canInstall ? install(missing, say) : refuse(missing)),
  }
}

function refuse(missing) {
  throw new SetupError(`missing; install: ${missing.map((tool) => tool.elsewhere).join(', ')}`, 2)
}

async function install(missing, say) {
  const packages = missing.map((tool) => tool.package)
  const needed = missing.some((tool) => !tool.optional)
  const command = asRoot()
  if (!command) return needed ? refuseRoot(packages) : undefined
  say(`installing ${packages.join(' ')} with apt-get`)
  await apt(command, ['update'], needed)
  await apt(command, ['install', '-y', '--no-install-recommends', ...packages], needed)
}

/** How apt-get is called: as root plainly, else through sudo if it asks for no password. */
function asRoot() {
  if (process.getuid?.() === 0) return ['apt-get']
  if (!which('sudo')) return undefined
  try {
    execFileSync('sudo', ['-n', 'true'], { stdio: 'ignore' })
    return ['sudo', '-n', 'apt-get']
  } catch {
    return undefined
  }
}

function refuseRoot(packages) {
  throw new SetupError(
    `missing; as root run: apt-get install -y --no-install-recommends ${packages.join(' ')}`,
    2,
  )
}

async function apt(command, args, needed) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { code, output } = await run(command[0], [...command.slice(1), ...args], { env })
  if (code === 0 || !needed) return
  throw new SetupError(
    `apt-get ${args.join(' ')} failed; check the network and run it by hand\n${excerpt(output, 10)}`,
    2,
  )
}
