/** Runs command lines of the compiled `ddsas` one after the other in one process: most of a refusal's time is the start. */
import { createInterface } from 'node:readline'

const { run } = await import('../../dist/cli/main.js')

/** What a command prints, while it runs. */
let printed = { stdout: '', stderr: '' }
const answer = process.stdout.write.bind(process.stdout)
for (const name of ['stdout', 'stderr']) {
  // each command listens to its output once more
  process[name].setMaxListeners(0)
  process[name].write = (text) => {
    printed[name] += text
    return true
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { args, cwd } = JSON.parse(line)
  printed = { stdout: '', stderr: '' }
  process.exitCode = undefined
  process.chdir(cwd)
  const code = await run([process.execPath, 'ddsas', ...args])
  answer(`${JSON.stringify({ code, ...printed })}\n`)
}
