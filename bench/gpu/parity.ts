/** The parity suite on the GPU: golden values of the published code. */
import { spawnSync } from 'node:child_process'

export function runParity(): string[] {
  const args = ['scripts/test.mjs', 'test/parity']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const lines = `${stdout}${stderr}`.split('\n')
  const numbers = lines.filter((line) => /^ℹ (pass|fail|skipped) /.test(line)).map((line) => line.slice(2))
  if (status === 0) return [`parity: ${numbers.join(', ')}`]
  console.log(
    lines
      .filter((line) => /✖|Error|expected|actual/.test(line))
      .slice(0, 60)
      .join('\n'),
  )
  throw new Error(`parity: ${numbers.join(', ')}`)
}
