/** How a search shows itself: a progress bar at a terminal, plain lines elsewhere, or JSON lines for programs. */
import cliProgress from 'cli-progress'
import type { Genotype } from '../spaces/genotype.ts'
import { formatGenotype } from '../spaces/genotype-file.ts'
import type { SearchConfig } from '../train/config.ts'
import type { EpochReport, StepReport } from '../train/report.ts'
import type { RunObserver, RunStart } from '../train/run.ts'

/** "3 s", "12 min", "1 h 05 min". */
export function formatDuration(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 100) return `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

const percent = (part: number) => `${(100 * part).toFixed(1)} %`

/** Time left from the steps and evaluations seen so far. */
class Clock {
  #seconds: number[] = []
  #evaluation = 0

  step(seconds: number): void {
    this.#seconds = [...this.#seconds.slice(-49), seconds]
  }

  /** An epoch took `seconds`, of which its steps are known: the rest was evaluation. */
  epoch(seconds: number, stepsPerEpoch: number): void {
    this.#evaluation = Math.max(0, seconds - this.perStep * stepsPerEpoch)
  }

  /** Median over the last steps. */
  get perStep(): number {
    const sorted = [...this.#seconds].sort((a, b) => a - b)
    return sorted[Math.floor(sorted.length / 2)] ?? 0
  }

  left(steps: number, epochs: number): number {
    return steps * this.perStep + epochs * this.#evaluation
  }
}

/** Where a search shows itself. */
export interface SearchDisplay extends RunObserver {
  result(genotype: Genotype, run: string, drawings: readonly string[]): void
  /** Leaves the screen as other output expects it. */
  stop(): void
}

/** The display for `--json`, for a terminal, or for a file or pipe. */
export function searchDisplay(json: boolean): SearchDisplay {
  return json ? jsonDisplay : new TextDisplay(process.stdout.isTTY === true)
}

function printJson(record: object): void {
  console.log(JSON.stringify(record))
}

const jsonDisplay: SearchDisplay = {
  start: ({ run, device, done }) => printJson({ kind: 'start', run: run.path, device, done }),
  step: (report) => printJson({ kind: 'step', ...report }),
  epoch: (report) => printJson({ kind: 'epoch', ...report }),
  result: (genotype, run, drawings) => printJson({ kind: 'result', run, genotype, drawings }),
  stop: () => {},
}

class TextDisplay implements SearchDisplay {
  readonly #terminal: boolean
  readonly #clock = new Clock()
  #bar: cliProgress.SingleBar | undefined
  #epochs = 0
  #stepsPerEpoch = 0
  #lineAt = 0

  constructor(terminal: boolean) {
    this.#terminal = terminal
  }

  start(about: RunStart): void {
    this.#epochs = about.config.epochs
    for (const line of describeStart(about)) console.log(line)
  }

  step(report: StepReport, stepsPerEpoch: number): void {
    this.#clock.step(report.seconds)
    this.#stepsPerEpoch = stepsPerEpoch
    const text = this.#describeStep(report)
    if (this.#terminal) this.#showBar(report, text)
    else this.#showLine(report, text)
  }

  /** A line every ten seconds, and at the end of an epoch. */
  #showLine({ epoch, step }: StepReport, text: string): void {
    const now = performance.now()
    if (step !== this.#stepsPerEpoch && now - this.#lineAt < 10_000) return
    this.#lineAt = now
    console.log(`epoch ${epoch + 1}/${this.#epochs}  step ${step}/${this.#stepsPerEpoch}  ${text}`)
  }

  #describeStep({ epoch, step, train, valid, seconds }: StepReport): string {
    const epochsLeft = this.#epochs - epoch
    const left = this.#clock.left(epochsLeft * this.#stepsPerEpoch - step, epochsLeft)
    const memory = (process.memoryUsage.rss() / 2 ** 30).toFixed(1)
    const losses = `loss ${train.loss.toFixed(3)} / ${valid.loss.toFixed(3)}`
    const accuracies = `accuracy ${percent(train.accuracy)} / ${percent(valid.accuracy)}`
    return `${losses}  ${accuracies}  ${seconds.toFixed(2)} s/step  ${memory} GiB  ${formatDuration(left)} left`
  }

  #showBar({ epoch, step }: StepReport, text: string): void {
    if (!this.#bar) {
      const format = 'epoch {epoch} {bar} {value}/{total}  {text}'
      this.#bar = new cliProgress.SingleBar(
        {
          format,
          barsize: 16,
          hideCursor: true,
          linewrap: false,
          clearOnComplete: true,
          gracefulExit: false,
        },
        cliProgress.Presets.shades_classic,
      )
      this.#bar.start(this.#stepsPerEpoch, step, { epoch: `${epoch + 1}/${this.#epochs}`, text })
    }
    this.#bar.update(step, { text })
  }

  epoch(report: EpochReport): void {
    this.#clock.epoch(report.seconds, this.#stepsPerEpoch)
    this.stop()
    const { epoch, train, valid, rate, skipConnections, cosineDistance, seconds } = report
    const distance = cosineDistance === null ? '' : `  cell changed by ${cosineDistance.toFixed(2)}`
    console.log(
      `epoch ${epoch + 1}/${this.#epochs}: train ${percent(train.accuracy)} (loss ${train.loss.toFixed(3)})  ` +
        `validation ${percent(valid.accuracy)} (loss ${valid.loss.toFixed(3)})  rate ${rate.toFixed(4)}  ` +
        `skip connections ${skipConnections}${distance}  ${formatDuration(seconds)}`,
    )
  }

  result(genotype: Genotype, run: string, drawings: readonly string[]): void {
    console.log(`\n${formatGenotype(genotype)}\n\nrun:      ${run}`)
    for (const path of drawings) console.log(`drawing:  ${path}`)
  }

  /** Takes the bar off the screen. */
  stop(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }
}

function describeStart({ run, config, device, dataset, done, notes }: RunStart): string[] {
  const { network, data } = config
  const images = data.images === 0 ? dataset.count : data.images
  const verb = done > 0 ? `going on after step ${done}` : 'searching'
  return [
    `${verb}: ${config.strategy} on ${images} images of ${config.dataset}, ${network.cells} cells of ${network.channels} channels, ` +
      `${describeStrategy(config)}, seed ${config.seed}, ${device} with ${config.threads} threads`,
    ...notes.map((note) => `note: ${note}; numbers may differ in rounding from an uninterrupted run`),
    `run folder: ${run.path}  (Ctrl-C saves and stops; columns are training / validation batch)`,
  ]
}

function describeStrategy({ ddsas }: SearchConfig): string {
  return `L = ${ddsas.subspace}, M = ${ddsas.window}, profile ${ddsas.profile}`
}
