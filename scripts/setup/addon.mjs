/** Third step of the set-up: builds build/Release/ddsas.node with cmake-js when a source or libtorch changed. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, freemem } from 'node:os'
import { join, relative } from 'node:path'
import { findLibtorch } from '../libtorch.mjs'
import { digest, excerpt, filesBelow, readStamp, run, SetupError, writeWhole } from './run.mjs'

/** Oldest libtorch whose dispatcher and autograd the addon knows. */
const oldestLibtorch = [1, 13]

/** Memory that one compiler needs at its peak for a file with libtorch's headers. */
const bytesPerJob = 2 * 2 ** 30

/**
 * `sanitize`: with these sanitizers, as the compiler takes them, and vector kernels for these instruction sets alone, into the
 * folder given rather than build/; `groups`: with process groups, where libtorch has them.
 */
export function addonStep(root, { folder = join(root, 'build'), sanitize = '', sets, groups = true } = {}) {
  const how = { root, folder, sanitize, sets, groups }
  const addon = join(folder, 'Release/ddsas.node')
  const stamp = join(folder, 'addon.stamp')
  const wantedDigest = () => digest(filesBelow(join(root, 'native')), configuration(how, findLibtorch()))
  return {
    addon,
    pending: () => readStamp(stamp) !== wantedDigest() || !existsSync(addon),
    run: async (say) => {
      const libtorch = checkedLibtorch()
      const wanted = wantedDigest()
      rmSync(stamp, { force: true })
      await build(how, libtorch, say)
      install(folder, addon)
      writeWhole(join(folder, 'libtorch.json'), JSON.stringify(libtorch, null, 2))
      writeWhole(stamp, wanted)
    },
  }
}

/** Everything besides the sources that the binary depends on. Replaced libraries show in their size and time. */
function configuration({ root, sanitize, sets, groups }, libtorch) {
  const names = ['libtorch_cpu.so', 'libtorch_cpu.dylib']
  const library = libtorch && names.map((name) => join(libtorch.lib, name)).find((file) => existsSync(file))
  const { size, mtimeMs } = library ? statSync(library) : {}
  const { CXX } = process.env
  return { root, libtorch, size, mtimeMs, arch: process.arch, CXX, sanitize, sets, groups }
}

function checkedLibtorch() {
  const libtorch = findLibtorch()
  const remedy =
    'install PyTorch for python3 (pip install torch) or set LIBTORCH to the path of an unpacked libtorch'
  if (!libtorch) throw new SetupError(`libtorch was not found; ${remedy}`, 2)
  const [major, minor] = libtorch.version.split('.').map(Number)
  const [oldMajor, oldMinor] = oldestLibtorch
  if (major < oldMajor || (major === oldMajor && minor < oldMinor)) {
    const { version, root } = libtorch
    throw new SetupError(
      `libtorch ${version} in ${root} is older than ${oldestLibtorch.join('.')}; ${remedy}`,
      2,
    )
  }
  return libtorch
}

/** As many compilers as cores, as long as each has its memory. */
export function jobCount(cores = availableParallelism(), memory = process.availableMemory?.() ?? freemem()) {
  return Math.max(1, Math.min(cores, Math.floor(memory / bytesPerJob)))
}

async function build(how, libtorch, say) {
  const { root, folder } = how
  const jobs = jobCount()
  say(
    `building the addon on libtorch ${libtorch.version} (${libtorch.lib}), ${jobs} at a time; this can take minutes`,
  )
  const began = Date.now()
  startAfresh(join(folder, 'cmake'), configuration(how, libtorch))
  const { code, output } = await cmakeJs(how, libtorch, jobs)
  const log = join(folder, 'addon.log')
  const shown = relative(root, log)
  writeWhole(log, output)
  if (code !== 0) throw new SetupError(`the addon did not compile (${shown})\n${excerpt(output)}`, 1)
  const warnings = output.split('\n').filter((line) => line.includes('warning:')).length
  const seconds = Math.round((Date.now() - began) / 1000)
  say(`built the addon in ${seconds} s${warnings ? `, ${warnings} warnings (${shown})` : ''}`)
}

/** cmake-js configures only once, so a folder configured for another libtorch, compiler or place must go. */
function startAfresh(folder, wanted) {
  const file = join(folder, 'ddsas-configuration.json')
  const text = JSON.stringify(wanted)
  if (existsSync(file) && readFileSync(file, 'utf8').trim() === text) return
  rmSync(folder, { recursive: true, force: true })
  writeWhole(file, text)
}

/** What native/CMakeLists.txt has to know. */
export function cmakeSettings(libtorch, { sanitize = '', sets = undefined, groups = true } = {}) {
  return {
    DDSAS_TORCH_INCLUDE: libtorch.include.join(';'),
    DDSAS_TORCH_LIB: libtorch.lib,
    DDSAS_TORCH_ABI: libtorch.cxx11Abi,
    DDSAS_CXX_STANDARD: libtorch.cxxStandard,
    DDSAS_CUDA_INCLUDE: libtorch.cudaInclude.join(';'),
    DDSAS_CUDA_HOMES: libtorch.cudaHomes.join(';'),
    DDSAS_GLOO: groups && libtorch.gloo ? 'ON' : 'OFF',
    DDSAS_SANITIZE: sanitize,
    DDSAS_SETS: sets?.join(';'),
  }
}

/**
 * native/package.json declares a Node-API version: that is what makes cmake-js take the headers of the node-api-headers
 * package and download none. Make rather than Ninja, as one generator must serve every machine.
 */
function cmakeJs(how, libtorch, jobs) {
  const { root, folder } = how
  const program = createRequire(join(root, 'package.json')).resolve('cmake-js/bin/cmake-js')
  const settings = cmakeSettings(libtorch, how)
  const defined = Object.entries(settings).filter(([, value]) => value !== undefined && value !== '')
  const args = [
    'build',
    '-d',
    join(root, 'native'),
    '-O',
    join(folder, 'cmake'),
    '-B',
    'Release',
    '-m',
    '-p',
    String(jobs),
  ]
  return run(
    process.execPath,
    [program, ...args, ...defined.map(([name, value]) => `--CD${name}=${value}`)],
    {
      cwd: root,
    },
  )
}

/** Renamed into place: a running search keeps the file it loaded, a starting one finds a whole file. */
function install(folder, addon) {
  mkdirSync(join(folder, 'Release'), { recursive: true })
  const aside = `${addon}.${process.pid}`
  copyFileSync(join(folder, 'cmake/Release/ddsas.node'), aside)
  renameSync(aside, addon)
}
