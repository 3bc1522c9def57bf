/** What a run writes of its progress: a line in metrics.jsonl and scalars for TensorBoard at each step and epoch. */
import { EventWriter } from '../runs/events.ts'
import type { RunFolder } from '../runs/folder.ts'
import { flatten } from './settings.ts'

type Line = Readonly<Record<string, unknown>>

/** Where a line stands, which is where its scalars stand, and the size of a batch: no curves. */
const omitted: readonly string[] = ['epoch', 'step', 'globalStep', 'images']

/** Every number of a line by its tag: `step/train loss`, `epoch/skip connections`. */
export function scalarsOf(line: Line): Record<string, number> {
  const numbers = [...flatten(line)].flatMap(([key, value]) =>
    typeof value === 'number' && Number.isFinite(value) && !omitted.includes(key)
      ? [[`${line.kind}/${inWords(key)}`, value] as const]
      : [],
  )
  return Object.fromEntries(numbers)
}

function inWords(key: string): string {
  return key.replaceAll(/\.|(?=[A-Z])/g, ' ').toLowerCase()
}

/** The metrics and events of one run, appended by the process that holds its lock. */
export class MetricsLogger {
  readonly #run: RunFolder
  readonly #events: EventWriter

  /**
   * `globalStep`: steps already done. TensorBoard forgets what a killed run told it from that step on, and hears again what
   * metrics.jsonl kept of that very step: a step and the epoch it ends stand at the same place, and the checkpoint may
   * lie between them.
   */
  constructor(run: RunFolder, globalStep: number) {
    this.#run = run
    this.#events = new EventWriter(run.path, globalStep)
    for (const line of run.readMetrics())
      if (line.globalStep === globalStep) this.#events.scalars(globalStep, scalarsOf(line))
  }

  /** Adds a line; its place among the scalars is the number of steps done, `globalStep`. */
  write(kind: string, report: object & { readonly globalStep: number }): void {
    const line = { kind, ...report }
    this.#run.appendMetrics(line)
    this.#events.scalars(report.globalStep, scalarsOf(line))
  }

  close(): void {
    this.#events.close()
  }
}
