/**
 * Runs the tests of the native kernels on addons built with sanitizers: all of them with those of addresses and undefined
 * behaviour, those of threads with ThreadSanitizer.
 *
 * The addons go to folders below build/, beside the ordinary one. Node itself is not built with sanitizers, so that their
 * run-time libraries must be loaded before it. Exit code 1 where a test fails or a sanitizer finds something. `--build` builds
 * the addons and runs nothing.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { addonStep } from './setup/addon.mjs'
import { withLock } from './setup/lock.mjs'
import { SetupError } from './setup/run.mjs'

const root = resolve(import.meta.dirname, '..')

/** Everything that calls a kernel with shapes of its own choosing: test files that share the kernels' cases or counts. */
function kernelTests() {
  const shared = /from '\.\.?\/(torch\/)?(kernel-cases|chain|runs)\.ts'/
  const files = readdirSync(join(root, 'test/unit'), { recursive: true }).map(String)
  return files
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join('test/unit', file))
    .filter((file) => shared.test(readFileSync(join(root, file), 'utf8')))
    .sort()
}

/** The widest instruction set of this machine for which there are vector kernels, or none but the portable ones. */
function widestSet() {
  try {
    const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' ') ?? []
    const has = (...names) => names.every((name) => flags.includes(name))
    if (has('fma', 'avx512f', 'avx512bw', 'avx512dq', 'avx512vl')) return ['avx512']
    return has('fma', 'avx2') ? ['avx2'] : []
  } catch {
    return []
  }
}

/** Node and libtorch keep what they allocate to the end of the process: every run would report leaks that are none. */
const addresses = {
  folder: 'sanitize',
  sanitize: 'address,undefined',
  sets: ['portable', ...widestSet()],
  libraries: ['libasan.so', 'libubsan.so'],
  // a size that no memory has is for the allocator to refuse
  env: {
    ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1',
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
  },
  tests: kernelTests,
}

/** What libtorch and Node do among their own threads cannot be judged, as they are not built with it. */
const threads = {
  folder: 'sanitize-threads',
  sanitize: 'thread',
  sets: ['portable'],
  // no test of kernels has any
  groups: false,
  libraries: ['libtsan.so'],
  env: { TSAN_OPTIONS: 'ignore_noninstrumented_modules=1:halt_on_error=1', DDSAS_SIMD: 'portable' },
  tests: () => ['test/unit/torch/kernels-threads.test.ts'],
}

async function buildAddon({ folder, sanitize, sets, groups }) {
  const place = join(root, 'build', folder)
  const step = addonStep(root, { folder: place, sanitize, sets, groups })
  const say = (line) => console.log(`sanitize: ${line}`)
  await withLock(place, say, async () => {
    if (step.pending()) await step.run(say)
  })
  return step.addon
}

/** Full path of a library that comes with the compiler; GCC answers with the bare name where it has none. */
function compilerLibrary(name) {
  const path = execFileSync(process.env.CXX ?? 'g++', [`-print-file-name=${name}`], {
    encoding: 'utf8',
  }).trim()
  if (path !== name) return path
  throw new SetupError(
    `the compiler has no ${name}; install GCC with its sanitizers (libasan, libubsan, libtsan)`,
    2,
  )
}

function runTests(addon, { libraries, env, tests }) {
  const all = {
    ...process.env,
    ...env,
    DDSAS_ADDON: addon,
    LD_PRELOAD: libraries.map(compilerLibrary).join(' '),
  }
  const args = [join(root, 'scripts/test.mjs'), ...tests()]
  return spawnSync(process.execPath, args, { cwd: root, env: all, stdio: 'inherit' }).status ?? 1
}

try {
  const onlyBuild = process.argv.includes('--build')
  for (const kind of [addresses, threads]) {
    const addon = await buildAddon(kind)
    if (!onlyBuild) process.exitCode ||= runTests(addon, kind)
  }
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(`sanitize: ${error.message}`)
  process.exitCode = error.exitCode
}
