/** What `ddsas doctor` looks at: each thing a search needs or can use, whether it is there, and what mends it. */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statfsSync } from 'node:fs'
import { availableParallelism, freemem, totalmem } from 'node:os'
import { z } from 'zod'
import { cifarDifference, hasCifar, recordFiles } from '../data/cifar-files.ts'
import { DdsasError, quoted } from '../errors.ts'
import type { EngineInfo } from '../torch/native.ts'
import { commandLine } from '../words.ts'

/** One thing looked at. */
export interface Finding {
  readonly name: string
  readonly ok: boolean
  /** Whether no search can run without it. */
  readonly needed: boolean
  /** What was found, or what is wrong. */
  readonly found: string
  /** What to run or install where it is missing. */
  readonly remedy?: string
}

const setup = commandLine('setup')
const packageRoot = new URL('../../', import.meta.url)

const libtorchSchema = z.object({ version: z.string(), lib: z.string(), source: z.string() })

/** Looks at everything, in the order in which a missing thing would have to be mended. */
export async function findAll(dataDirectory: string): Promise<Finding[]> {
  const engine = await loadEngine()
  const built = !(engine instanceof Error)
  return [
    nodeVersion(),
    program(
      'compiler',
      process.env.CXX ?? 'c++',
      !built,
      'install a C++17 compiler: apt-get install g++, xcode-select --install',
    ),
    program('cmake', 'cmake', !built, 'install it: apt-get install cmake, brew install cmake'),
    await libtorch(engine),
    addon(engine),
    ...(built ? hardware(engine) : [cpu(readCpuCapability(), availableParallelism())]),
    memory(),
    disk(),
    fonts(),
    cifar10(dataDirectory),
  ]
}

/** The engine, or why it does not load: an addon that is not built must not stop the other findings. */
async function loadEngine(): Promise<EngineInfo | Error> {
  try {
    const { describeEngine } = await import('../torch/native.ts')
    return describeEngine()
  } catch (error) {
    return error instanceof Error ? error : new DdsasError('setup', String(error))
  }
}

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const ok = major > 20 || (major === 20 && minor >= 17)
  return finding('node', true, ok, process.versions.node, 'install Node 20.17 or newer')
}

function program(name: string, command: string, needed: boolean, remedy: string): Finding {
  const line = firstLine(command, ['--version'])
  return finding(name, needed, line !== undefined, line ?? 'not found', remedy)
}

function firstLine(command: string, args: readonly string[]): string | undefined {
  try {
    const output = execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' })
    return output.trim().split('\n')[0]
  } catch {
    return undefined
  }
}

/** The libtorch in use, else the one that the set-up would build against. */
async function libtorch(engine: EngineInfo | Error): Promise<Finding> {
  const remedy = `${setup}, or pip install torch, or set LIBTORCH to the path of a libtorch`
  try {
    const found = libtorchSchema.parse(engine instanceof Error ? await searchLibtorch() : builtLibtorch())
    const { libtorch: version, path } =
      engine instanceof Error ? { libtorch: found.version, path: found.lib } : engine
    return finding('libtorch', true, true, `${version} in ${path}, found through ${found.source}`, remedy)
  } catch (error) {
    if (!(engine instanceof Error))
      return finding('libtorch', true, true, `${engine.libtorch} in ${engine.path}`, remedy)
    const reason =
      error instanceof z.ZodError ? 'not found' : error instanceof Error ? error.message : String(error)
    return finding('libtorch', true, false, reason, remedy)
  }
}

/** The set-up's own search; plain JavaScript, as it must run before anything is compiled. */
async function searchLibtorch(): Promise<unknown> {
  const module: { findLibtorch: () => unknown } = await import(
    new URL('scripts/libtorch.mjs', packageRoot).href
  )
  return module.findLibtorch()
}

/** What the set-up noted about the libtorch it built against. */
function builtLibtorch(): unknown {
  return JSON.parse(readFileSync(new URL('build/libtorch.json', packageRoot), 'utf8'))
}

function addon(engine: EngineInfo | Error): Finding {
  const ok = !(engine instanceof Error)
  return finding('addon', true, ok, ok ? 'built, loads' : engine.message, setup)
}

function hardware({ cpuCapability, threads, cuda }: EngineInfo): Finding[] {
  return [cpu(cpuCapability, threads), finding('devices', false, true, ['cpu', ...cuda].join(', '), '')]
}

function cpu(capability: string, threads: number): Finding {
  return finding('cpu', false, true, `${threads} threads, ${capability}`, '')
}

/** The vector instructions as Linux lists them, for the time before the engine can tell. */
function readCpuCapability(): string {
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  if (/\bavx512f\b/.test(flags)) return 'AVX512'
  return /\bavx2\b/.test(flags) ? 'AVX2' : 'vector instructions unknown'
}

function memory(): Finding {
  return finding('memory', false, true, `${gigabytes(freemem())} free of ${gigabytes(totalmem())}`, '')
}

function disk(): Finding {
  const { bavail, bsize } = statfsSync('.')
  return finding('disk', false, true, `${gigabytes(bavail * bsize)} free in this folder`, '')
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`
}

function fonts(): Finding {
  const ok = Boolean(firstLine('fc-list', []))
  return finding('fonts', false, ok, ok ? 'found' : 'none; drawings come out without letters', setup)
}

/** By names and sizes; to read it all would take a second that nobody waits for gladly. */
function cifar10(directory: string): Finding {
  const remedy = commandLine(`data fetch cifar10 --data ${quoted(directory)}`)
  const there = hasCifar(directory, 'cifar10')
  if (!there) return finding('cifar10', false, false, `not in ${directory}`, remedy)
  try {
    const differences = (['train', 'test'] as const).flatMap((split) => {
      const difference = cifarDifference('cifar10', split, recordFiles(directory, 'cifar10', split))
      return difference === undefined ? [] : [difference]
    })
    const whole = differences.length === 0
    const found = whole ? `in ${directory}` : `in ${directory}, but not all of it: ${differences.join(', ')}`
    return finding('cifar10', false, whole, found, remedy)
  } catch (error) {
    return finding('cifar10', false, false, error instanceof Error ? error.message : String(error), remedy)
  }
}

function finding(name: string, needed: boolean, ok: boolean, found: string, remedy: string): Finding {
  return ok ? { name, ok, needed, found } : { name, ok, needed, found, remedy }
}
