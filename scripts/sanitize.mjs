/**
 * Runs the tests of the native kernels on an addon built with the address and undefined-behaviour sanitizers.
 *
 * The addon goes to build/sanitize, beside the ordinary one. Node itself is not built with sanitizers, so that their
 * run-time libraries must be loaded before it. Exit code 1 where a test fails or a sanitizer finds something.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { addonStep } from './setup/addon.mjs'
import { withLock } from './setup/lock.mjs'
import { SetupError } from './setup/run.mjs'

const root = resolve(import.meta.dirname, '..')

/** Everything that calls a kernel with shapes of its own choosing. */
const tests = [
  'test/unit/torch/kernels.test.ts',
  'test/unit/torch/kernels-norm.test.ts',
  'test/unit/torch/kernels-refused.test.ts',
  'test/unit/torch/kernels-replaced.test.ts',
  'test/unit/data/augment.test.ts',
  'test/unit/data/image-augment.test.ts',
]

async function buildAddon() {
  const folder = join(root, 'build/sanitize')
  const step = addonStep(root, { folder, sanitize: true })
  const say = (line) => console.log(`sanitize: ${line}`)
  await withLock(folder, say, async () => {
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
  throw new SetupError(`the compiler has no ${name}; install GCC with its sanitizers (libasan, libubsan)`, 2)
}

function runTests(addon) {
  const env = {
    ...process.env,
    DDSAS_ADDON: addon,
    LD_PRELOAD: ['libasan.so', 'libubsan.so'].map(compilerLibrary).join(' '),
    // Node and libtorch keep what they allocate to the end of the process: every run would report leaks that are none.
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
  }
  const args = [join(root, 'scripts/test.mjs'), ...tests]
  return spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).status ?? 1
}

try {
  process.exitCode = runTests(await buildAddon())
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(`sanitize: ${error.message}`)
  process.exitCode = error.exitCode
}
