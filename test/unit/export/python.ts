/** A Python with PyTorch or ONNX, where there is one, for tests that compare with them. */
import { execFileSync } from 'node:child_process'
import { skipWithout } from '../../needs.ts'

/** DDSAS_PYTHON, else `python3`. */
const python = process.env.DDSAS_PYTHON ?? 'python3'

const known = new Map<string, boolean>()

function imports(module: string): boolean {
  const found = known.get(module)
  if (found !== undefined) return found
  let works = true
  try {
    execFileSync(python, ['-c', `import ${module}`], { stdio: 'ignore' })
  } catch {
    works = false
  }
  known.set(module, works)
  return works
}

/** For node:test's `skip`: false, or why there is no Python with the module `torch` or `onnx`. */
export function withoutPython(module: 'torch' | 'onnx'): false | string {
  const reason = `${python} does not import ${module} (set DDSAS_PYTHON to one that does)`
  return skipWithout('python', imports(module), reason)
}

/** Runs a script with arguments in a folder and returns what it prints. */
export function runPython(script: string, args: readonly string[], folder: string): string {
  return execFileSync(python, ['-c', script, ...args], { encoding: 'utf8', cwd: folder })
}
