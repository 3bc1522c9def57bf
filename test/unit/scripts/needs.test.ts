/** Tests that need what a clone may lack: skipped with the reason, or failed where DDSAS_REQUIRE names it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { repository } from './support.ts'

/** Runs a test file where neither a Python nor shared data are found. */
function lacking(file: string, DDSAS_REQUIRE: string) {
  const { NODE_TEST_CONTEXT: _, DDSAS_FIXTURES: __, ...env } = process.env
  const nowhere = { DDSAS_SHARED: '/nonexistent', DDSAS_PYTHON: '/nonexistent/python3', DDSAS_REQUIRE }
  const args = ['--test-reporter=spec', file]
  return spawnSync(process.execPath, args, { cwd: repository, env: { ...env, ...nowhere }, encoding: 'utf8' })
}

for (const [need, file, reason] of [
  ['python', 'test/parity/gradients.test.ts', '/nonexistent/python3 does not import torch (set DDSAS_PYTHON'],
  [
    'shared',
    'test/parity/mixing.test.ts',
    'no golden values at /nonexistent/fixtures/official (set DDSAS_FIX',
  ],
] as const)
  test(`without ${need} tests are skipped, and failed where it is required`, () => {
    const others = ['python', 'shared'].filter((other) => other !== need).join(',')
    const skipped = lacking(file, others)
    assert.equal(skipped.status, 0, skipped.stdout)
    assert.match(skipped.stdout, /^ℹ pass 0$/m)
    assert.ok(skipped.stdout.includes(`# ${reason}`), skipped.stdout)
    const failed = lacking(file, 'python,shared')
    assert.equal(failed.status, 1)
    assert.ok(`${failed.stdout}${failed.stderr}`.includes(reason), failed.stderr)
    assert.match(`${failed.stdout}${failed.stderr}`, new RegExp(`DDSAS_REQUIRE=${need} asks for it`))
  })
