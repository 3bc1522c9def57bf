/** A search on the part of CIFAR-10 that is here, for as long as there is time; goes on where the last one stopped. */
import { existsSync } from 'node:fs'
import { DdsasError } from '../../src/errors.ts'
import { runSearch } from '../../src/search/run.ts'

export async function searchFor(seconds: number, data: string, out: string): Promise<string[]> {
  if (seconds < 20) return [`search: no time left (${seconds.toFixed(0)} s)`]
  const until = performance.now() + 1000 * seconds
  const request = existsSync(out)
    ? { resume: out, data }
    : { preset: 'cifar10', settings: ['precision=bfloat16', 'checkpoint.seconds=60'], data, out }
  const lines: string[] = []
  const times: number[] = []
  try {
    await runSearch(request, {
      step: ({ globalStep, seconds: took, train }) => {
        times.push(took)
        if (globalStep % 50 === 0)
          console.log(`step ${globalStep}: loss ${train.loss.toFixed(3)}, ${(1000 * took).toFixed(1)} ms`)
        if (performance.now() > until) process.kill(process.pid, 'SIGINT')
      },
      epoch: ({ epoch, train, valid, seconds: took }) => {
        const percent = (x: number) => `${(100 * x).toFixed(1)} %`
        lines.push(
          `epoch ${epoch + 1}: train ${percent(train.accuracy)}, valid ${percent(valid.accuracy)}, ${took.toFixed(1)} s`,
        )
        console.log(lines.at(-1))
      },
    })
  } catch (error) {
    if (!(error instanceof DdsasError) || error.kind !== 'interrupted') throw error
  }
  const middle = [...times].sort((a, b) => a - b)[times.length >> 1]
  return [`search: ${times.length} steps, median ${(1000 * middle).toFixed(2)} ms a step`, ...lines.slice(-2)]
}
