/** What a measurement has so far, in a file beside the table, so that one that was stopped goes on. */
import { rmSync } from 'node:fs'
import { z } from 'zod'
import { firstProblem } from '../checks.ts'
import { DdsasError, quoted } from '../errors.ts'
import { formatJson, readJson, writeFileAtomic } from '../runs/files.ts'
import type { Rounds } from './rounds.ts'

const time = z.number().positive().max(1e9)
const partialSchema = z.object({
  kind: z.literal('ddsas latency measurement'),
  format: z.literal(1),
  /** All that the times depend on, as text by name. */
  of: z.record(z.string(), z.string()),
  /** Rounds of each group of models that are timed together, by its name. */
  groups: z.record(z.string(), z.array(z.array(time).max(100_000)).max(10_000)),
})

/** A measurement that goes on. */
export interface Partial {
  /** Rounds of a group of so many models; none where it was not begun. */
  rounds(group: string, models: number): Rounds
  save(group: string, rounds: Rounds): void
  remove(): void
}

/**
 * Opens `<table>.partial`, or begins it.
 * @throws {DdsasError} `input` naming what differs where it is of another measurement, or damaged.
 */
export function openPartial(table: string, of: Readonly<Record<string, string>>): Partial {
  const path = `${table}.partial`
  const groups = new Map(Object.entries(readGroups(path, of)))
  return {
    rounds: (group, models) => (groups.get(group) ?? []).filter((times) => times.length === models),
    save: (group, rounds) => {
      groups.set(
        group,
        rounds.map((times) => [...times]),
      )
      writeFileAtomic(
        path,
        formatJson({ kind: 'ddsas latency measurement', format: 1, of, groups: Object.fromEntries(groups) }),
      )
    },
    remove: () => rmSync(path, { force: true }),
  }
}

function readGroups(path: string, of: Readonly<Record<string, string>>): Record<string, number[][]> {
  const content = readJson(path)
  if (content === undefined) return {}
  const remedy = `remove it to begin anew: rm ${quoted(path)}`
  const parsed = partialSchema.safeParse(content)
  if (!parsed.success)
    throw new DdsasError('input', `${path}: ${firstProblem(parsed.error, 'file')}; ${remedy}`)
  for (const [name, value] of Object.entries(of))
    if (parsed.data.of[name] !== value)
      throw new DdsasError(
        'input',
        `${path} was begun with ${name} ${parsed.data.of[name]}, not ${value}: ask for the same, or ${remedy}`,
      )
  return parsed.data.groups
}
