/** How a search shows itself: one line that moves at a terminal, plain lines elsewhere, or JSON lines for programs. */
import type { Genotype } from '../spaces/genotype.ts'
import { formatGenotype } from '../spaces/genotype-file.ts'
import { type Average, emptyAverage, include, means } from '../train/averages.ts'
import type { EpochReport, StepReport } from '../train/report.ts'
import type { RunObserver, RunStart } from '../train/run.ts'
import { barLine, describeStart, epochLine, type Standing, stepLine } from './search-text.ts'

/** Where a search shows itself. */
export interface SearchDisplay extends RunObserver {
  result(genotype: Genotype, run: string, drawings: readonly string[]): void
  /** Leaves the screen as other output expects it. */
  stop(): void
}

/** The display for `--json`, for a terminal, or for a file or pipe. */
export function searchDisplay(json: boolean): SearchDisplay {
  if (json) return jsonDisplay
  const terminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb'
  return new TextDisplay(terminal ? new MovingLine() : new PlainLines())
}

function printJson(record: object): void {
  console.log(JSON.stringify(record))
}

const jsonDisplay: SearchDisplay = {
  start: ({ run, device, done, notes }) => printJson({ kind: 'start', run: run.path, device, done, notes }),
  step: (report) => printJson({ kind: 'step', ...report }),
  epoch: (report) => printJson({ kind: 'epoch', ...report }),
  result: (genotype, run, drawings) => printJson({ kind: 'result', run, genotype, drawings }),
  stop: () => {},
}

/** Time left, from the steps and evaluations seen so far. */
class Clock {
  #seconds: number[] = []
  #evaluation = 0
  #stepEnded = performance.now()

  step(seconds: number): void {
    this.#seconds = [...this.#seconds.slice(-49), seconds]
    this.#stepEnded = performance.now()
  }

  /** What an epoch takes after its last step is its evaluation. */
  epoch(): void {
    this.#evaluation = (performance.now() - this.#stepEnded) / 1000
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

/** How the standing of a search is shown between the lines that stay. */
interface Progress {
  show(at: Standing): void
  /** Takes away what is not to stay. */
  clear(): void
}

/**
 * One line, written over and over. It hides no cursor and changes no mode of the terminal: a second Ctrl-C ends the
 * process at once, and nobody would put that back.
 */
class MovingLine implements Progress {
  #paintedAt = 0
  #painted = false

  show(at: Standing): void {
    const now = performance.now()
    // Ten times a second is as much as one sees; a slow connection need not carry more.
    if (this.#painted && at.step < at.steps && now - this.#paintedAt < 100) return
    this.#paintedAt = now
    this.#painted = true
    process.stdout.write(`\r${barLine(at, process.stdout.columns)}\x1b[K`)
  }

  clear(): void {
    if (this.#painted) process.stdout.write('\r\x1b[K')
    this.#painted = false
  }
}

/** A line every ten seconds, and at the end of an epoch. */
class PlainLines implements Progress {
  #printedAt = 0

  show(at: Standing): void {
    const now = performance.now()
    if (at.step < at.steps && now - this.#printedAt < 10_000) return
    this.#printedAt = now
    console.log(stepLine(at))
  }

  clear(): void {}
}

class TextDisplay implements SearchDisplay {
  readonly #progress: Progress
  readonly #clock = new Clock()
  #epochs = 0
  #average: Average = emptyAverage

  constructor(progress: Progress) {
    this.#progress = progress
  }

  start(about: RunStart): void {
    this.#epochs = about.config.epochs
    for (const line of describeStart(about)) console.log(line)
  }

  step({ epoch, step, train, images, seconds }: StepReport, steps: number): void {
    this.#clock.step(seconds)
    this.#average = include(this.#average, { loss: train.loss, correct: train.accuracy * images, images })
    const epochsLeft = this.#epochs - epoch
    this.#progress.show({
      ...means(this.#average),
      epoch,
      epochs: this.#epochs,
      step,
      steps,
      secondsPerStep: this.#clock.perStep,
      memory: process.memoryUsage.rss(),
      secondsLeft: this.#clock.left(epochsLeft * steps - step, epochsLeft),
    })
  }

  epoch(report: EpochReport): void {
    this.#clock.epoch()
    this.#average = emptyAverage
    this.#progress.clear()
    console.log(epochLine(report, this.#epochs))
  }

  result(genotype: Genotype, run: string, drawings: readonly string[]): void {
    console.log(`\n${formatGenotype(genotype)}\n\nrun:      ${run}`)
    for (const path of drawings) console.log(`drawing:  ${path}`)
  }

  stop(): void {
    this.#progress.clear()
  }
}
