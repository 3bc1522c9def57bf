/** Looks into run folders: whether two runs computed the same, bit for bit. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { RunFolder } from '../../src/runs/folder.ts'

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The lines of metrics.jsonl without what a clock measured, or the allocator. */
export function metricsOf(path: string): Record<string, unknown>[] {
  return RunFolder.open(path)
    .readMetrics()
    .map(({ seconds, peak: _, ...line }) => {
      const timed = line.kind !== 'space' && line.kind !== 'memory'
      assert.ok(!timed || (typeof seconds === 'number' && seconds > 0))
      return line
    })
}

const stateSchema = z.looseObject({ metricsBytes: z.number() })

/** The latest checkpoint: tensors as digests, the state without the length of the metrics, in which times stand. */
export function checkpointOf(path: string): { readonly step: number; readonly files: Map<string, string> } {
  const checkpoint = RunFolder.open(path).loadCheckpoint()
  assert.ok(checkpoint !== undefined, `${path} has a checkpoint`)
  const files = [...checkpoint.files].map(([name, bytes]) => {
    if (name !== 'state.json') return [name, sha256(bytes)] as const
    const { metricsBytes, ...state } = stateSchema.parse(JSON.parse(bytes.toString('utf8')))
    assert.ok(metricsBytes > 0)
    return [name, JSON.stringify(state)] as const
  })
  return { step: checkpoint.step, files: new Map(files) }
}

/** Asserts that two runs are the same but for times: every line, every weight, alpha, zeta, saliency, the cells. */
export function assertSameRun(path: string, reference: string): void {
  assert.deepEqual(metricsOf(path), metricsOf(reference))
  const [own, other] = [checkpointOf(path), checkpointOf(reference)]
  assert.equal(own.step, other.step)
  assert.deepEqual([...own.files.keys()], [...other.files.keys()])
  for (const [name, content] of own.files) assert.ok(content === other.files.get(name), `${name} is the same`)
  const shown = ['genotype.json', 'windows.jsonl', 'cells/normal.svg', 'cells/reduce.svg']
  for (const name of shown.filter((file) => existsSync(join(reference, file))))
    assert.equal(readFileSync(join(path, name), 'utf8'), readFileSync(join(reference, name), 'utf8'), name)
}

/** Every file below a folder, as a sorted list of paths from there. */
export function filesBelow(path: string): string[] {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => !entry.isDirectory())
  return files.map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1)).sort()
}

/** Every file below a folder with the digest of what it holds. */
export function digestsBelow(path: string): Map<string, string> {
  return new Map(filesBelow(path).map((name) => [name, sha256(readFileSync(join(path, name)))]))
}
