/** What a benchmark is: settings, a measurement that gives a report as plain data, and how a report is shown. */
import type { z } from 'zod'
import { DdsasError } from '../src/errors.ts'
import type { ChartSpec } from '../src/export/chart.ts'
import type { SettingName, Settings } from './settings.ts'
import type { Table } from './table.ts'

/** A report for people. */
export interface Shown {
  readonly tables: readonly Table[]
  /** Sentences below the tables. */
  readonly notes: readonly string[]
  /** By name. */
  readonly charts: Readonly<Record<string, ChartSpec>>
}

export interface Benchmark {
  /** What it measures, in a line. */
  readonly about: string
  readonly takes: readonly SettingName[]
  /** Measures; the report can be written as JSON and shown again from that. */
  measure(settings: Settings): object | Promise<object>
  /** Throws DdsasError 'data' where the report is not one of this benchmark. */
  show(report: unknown): Shown
}

interface Parts<Report extends object> extends Omit<Benchmark, 'measure' | 'show'> {
  readonly schema: z.ZodType<Report>
  measure(settings: Settings): Report | Promise<Report>
  show(report: Report): Shown
}

/** A benchmark whose reports are checked before they are shown: they may come from a file. */
export function defineBenchmark<Report extends object>(parts: Parts<Report>): Benchmark {
  const { about, takes, schema, measure, show } = parts
  return {
    about,
    takes,
    measure,
    show: (value) => {
      const parsed = schema.safeParse(value)
      if (parsed.success) return show(parsed.data)
      const [{ path, message }] = parsed.error.issues
      throw new DdsasError(
        'data',
        `a report has ${path.join('.') || 'its top'}: ${message}; measure it again`,
      )
    },
  }
}
