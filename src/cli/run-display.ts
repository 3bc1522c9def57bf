/** How a run shows itself: one line that moves at a terminal, plain lines elsewhere, or JSON lines for programs. */

import type { SkippedFile } from '../data/folder-images.ts'
import { type Average, emptyAverage, include, means } from '../loop/averages.ts'
import type { RunFolder } from '../runs/folder.ts'
import { barLine, type Standing, stepLine } from './search-text.ts'
import { warnOfSkipped } from './skipped.ts'

/** What is known of a run before its first step. */
interface Start {
  readonly run: RunFolder
  readonly device: string
  readonly done: number
  readonly notes: readonly string[]
  readonly warnings: readonly string[]
  readonly config: { readonly epochs: number }
}

/** What a display needs of a step. */
interface Step {
  readonly epoch: number
  readonly step: number
  readonly train: { readonly loss: number; readonly accuracy: number }
  readonly images: number
  readonly seconds: number
}

/** What is neither a step nor an evaluation. */
const works = {
  decoding: 'decoding images',
  ranking: 'ranking architectures',
  controller: 'training the controller',
} as const

type Work = keyof typeof works

/** Where a run shows itself. */
export interface RunDisplay<About extends Start, Epoch extends object, Result extends object> {
  /** While images are decoded, before the start, or candidates ranked. */
  doing(what: Work, done: number, total: number): void
  start(about: About): void
  step(report: Step, steps: number): void
  epoch(report: Epoch): void
  /** Something else worth a line or some, or a JSON object of its kind. */
  event(kind: string, report: object, text: string): void
  /** An image file that is left out. */
  skip(file: SkippedFile, count: number): void
  result(result: Result): void
  /** Leaves the screen as other output expects it. */
  stop(): void
}

/** What is particular to a kind of run: its lines of text. */
export interface RunTexts<About extends Start, Epoch extends object, Result extends object> {
  start(about: About): readonly string[]
  epoch(report: Epoch, epochs: number): string
  result(result: Result): readonly string[]
}

/** The display for `--json`, for a terminal, or for a file or pipe. */
export function runDisplay<About extends Start, Epoch extends object, Result extends object>(
  json: boolean,
  texts: RunTexts<About, Epoch, Result>,
): RunDisplay<About, Epoch, Result> {
  if (json) return jsonDisplay
  const terminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb'
  return new TextDisplay(terminal ? new MovingLine() : new PlainLines(), texts)
}

function printJson(record: object): void {
  console.log(JSON.stringify(record))
}

/** Says whether ten seconds have gone by since it last said so, or since it was made. */
function everyTenSeconds(): () => boolean {
  let last = performance.now()
  return () => {
    const now = performance.now()
    const due = now - last >= 10_000
    if (due) last = now
    return due
  }
}

const workDue = everyTenSeconds()

const jsonDisplay: RunDisplay<Start, object, object> = {
  doing: (what, done, total) => {
    if (workDue()) printJson({ kind: what, done, total })
  },
  start: ({ run, device, done, notes, warnings }) =>
    printJson({ kind: 'start', run: run.path, device, done, notes, warnings }),
  step: (report) => printJson({ kind: 'step', ...report }),
  epoch: (report) => printJson({ kind: 'epoch', ...report }),
  event: (kind, report) => printJson({ kind, ...report }),
  skip: ({ path, reason }, count) => printJson({ kind: 'skip', path, reason, count }),
  result: (result) => printJson({ kind: 'result', ...result }),
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

/** How the standing of a run is shown between the lines that stay. */
interface Progress {
  show(at: Standing): void
  /** Where there is no standing to show. */
  doing(what: Work, done: number, total: number): void
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

  doing(what: Work, done: number, total: number): void {
    const now = performance.now()
    if (this.#painted && now - this.#paintedAt < 100) return
    this.#paintedAt = now
    this.#painted = true
    process.stdout.write(`\r${workLine(what, done, total)}\x1b[K`)
  }

  clear(): void {
    if (this.#painted) process.stdout.write('\r\x1b[K')
    this.#painted = false
  }
}

function workLine(what: Work, done: number, total: number): string {
  return `${works[what]}: ${done} of ${total}`
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

  doing(what: Work, done: number, total: number): void {
    if (workDue()) console.log(workLine(what, done, total))
  }

  clear(): void {}
}

class TextDisplay<About extends Start, Epoch extends object, Result extends object>
  implements RunDisplay<About, Epoch, Result>
{
  readonly #progress: Progress
  readonly #texts: RunTexts<About, Epoch, Result>
  readonly #clock = new Clock()
  #epochs = 0
  #average: Average = emptyAverage

  constructor(progress: Progress, texts: RunTexts<About, Epoch, Result>) {
    this.#progress = progress
    this.#texts = texts
  }

  doing(what: Work, done: number, total: number): void {
    this.#progress.doing(what, done, total)
  }

  start(about: About): void {
    this.#progress.clear()
    this.#epochs = about.config.epochs
    for (const line of this.#texts.start(about)) console.log(line)
  }

  step({ epoch, step, train, images, seconds }: Step, steps: number): void {
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

  epoch(report: Epoch): void {
    this.#clock.epoch()
    this.#average = emptyAverage
    this.#progress.clear()
    console.log(this.#texts.epoch(report, this.#epochs))
  }

  event(_kind: string, _report: object, text: string): void {
    this.#progress.clear()
    console.log(text)
  }

  skip(file: SkippedFile, count: number): void {
    this.#progress.clear()
    warnOfSkipped(file, count)
  }

  result(result: Result): void {
    for (const line of this.#texts.result(result)) console.log(line)
  }

  stop(): void {
    this.#progress.clear()
  }
}
