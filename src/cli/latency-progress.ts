/** How far a measurement of latency is: one line that moves at a terminal, a line now and then elsewhere. */
import type { LatencyProgress } from '../latency/timer.ts'
import { formatDuration } from './search-text.ts'

/** Milliseconds between lines where there is no terminal. */
const pause = 10_000

export function latencyProgress(stream: NodeJS.WriteStream): {
  progress(progress: LatencyProgress): void
  clear(): void
} {
  const terminal = stream.isTTY === true && process.env.TERM !== 'dumb'
  let stage = ''
  let began = { at: 0, done: 0 }
  let before = performance.now()
  let last = 0
  return {
    progress: (progress) => {
      const now = performance.now()
      const own = `${progress.models} ${progress.stage}`
      if (own !== stage) {
        stage = own
        // the first that one hears of `timing` is the end of a round
        began = { at: before, done: progress.done - 1 }
        last = 0
      }
      before = now
      const each = (now - began.at) / (progress.done - began.done)
      const text = progressText(progress, (each * (progress.total - progress.done)) / 1000)
      if (terminal) stream.write(`\r${text}\x1b[K`)
      else if (last === 0 || now - last > pause) {
        stream.write(`${text}\n`)
        last = now
      }
    },
    clear: () => {
      if (terminal && stage !== '') stream.write('\r\x1b[K')
    },
  }
}

function progressText({ models, stage, done, total, error }: LatencyProgress, secondsLeft: number): string {
  if (stage === 'making') return `${models}: ${done} of ${total} made`
  const spread = error === undefined ? '' : `, times are known to ${(100 * error).toFixed(1)} %`
  return `${models}: round ${done} of ${total} at most${spread}, ${formatDuration(secondsLeft)} left at most`
}
