/**
 * Loaded before a command (`--import`), makes it stand still once it has printed a line: what a test does then comes before the
 * next line, however slow the machine. Native threads and handlers of signals go on.
 */
import { existsSync } from 'node:fs'

const { pattern, count, file } = JSON.parse(process.env.DDSAS_TEST_HOLD)
const wanted = new RegExp(pattern)
const write = process.stdout.write
let left = count

process.stdout.write = function (text, ...rest) {
  const written = write.call(this, text, ...rest)
  const lines = String(text).split('\n').slice(0, -1)
  for (const line of lines) if (wanted.test(line) && left-- === 0) standStill()
  return written
}

/** Until the file is there. */
function standStill() {
  const clock = new Int32Array(new SharedArrayBuffer(4))
  while (!existsSync(file)) Atomics.wait(clock, 0, 0, 10)
}
