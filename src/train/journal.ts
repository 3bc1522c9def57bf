/** What a run writes of its progress: a line in metrics.jsonl and scalars for TensorBoard at each step and epoch. */
import { EventWriter } from '../runs/events.ts'
import type { RunFolder } from '../runs/folder.ts'
import type { EpochReport, StepReport } from './report.ts'

export class Journal {
  readonly #run: RunFolder
  readonly #events: EventWriter

  /** `resumedAt`: the step a resumed run goes on from; TensorBoard forgets what a killed run wrote after it. */
  constructor(run: RunFolder, resumedAt?: number) {
    this.#run = run
    this.#events = new EventWriter(run.path, resumedAt)
  }

  step(report: StepReport): void {
    const { train, valid, gradNorm, rate, seconds } = report
    this.#run.appendMetrics({ kind: 'step', ...report })
    this.#events.scalars(report.total, {
      'step/train loss': train.loss,
      'step/validation loss': valid.loss,
      'step/gradient norm': gradNorm,
      'step/learning rate': rate,
      'step/seconds': seconds,
    })
  }

  epoch(report: EpochReport): void {
    const { genotype, ...numbers } = report
    this.#run.appendMetrics({ kind: 'epoch', ...numbers, genotype })
    this.#run.writeGenotype(genotype)
    this.#events.scalars(report.total, {
      'epoch/train loss': report.train.loss,
      'epoch/train accuracy': report.train.accuracy,
      'epoch/validation loss': report.valid.loss,
      'epoch/validation accuracy': report.valid.accuracy,
      'epoch/skip connections': report.skipConnections,
      'epoch/cosine distance': report.cosineDistance ?? Number.NaN,
    })
  }

  close(): void {
    this.#events.close()
  }
}
