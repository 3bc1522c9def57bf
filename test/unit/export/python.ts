/** The real PyTorch, where a Python has one, for tests that compare with it. */
import { execFileSync } from 'node:child_process'

interface Python {
  readonly command: string
  /** PyTorch's version. */
  readonly torch: string
}

function ask(command: string): Python | undefined {
  try {
    const torch = execFileSync(command, ['-c', 'import torch; print(torch.__version__)'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return { command, torch: torch.trim() }
  } catch {
    return undefined
  }
}

/** DDSAS_PYTHON, else `python3`; undefined where it imports no torch. */
const python = ask(process.env.DDSAS_PYTHON ?? 'python3')

/** For node:test's `skip`: false, or why there is no PyTorch to compare with. */
export const withoutPytorch = python
  ? false
  : 'no Python that imports torch (set DDSAS_PYTHON to one, such as that of a virtual environment)'

/** Runs a script with arguments in a folder and returns what it prints. */
export function runPython(script: string, args: readonly string[], folder: string): string {
  if (!python) throw new Error('the test should have been skipped')
  return execFileSync(python.command, ['-c', script, ...args], { encoding: 'utf8', cwd: folder })
}
