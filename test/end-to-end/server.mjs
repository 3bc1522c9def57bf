/** Runs command lines of the compiled `ddsas` one after the other in one process, each in its folder and environment. */
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
  const { args, cwd, env } = JSON.parse(line)
  printed = { stdout: '', stderr: '' }
  process.exitCode = undefined
  process.chdir(cwd)
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name]
  Object.assign(process.env, env)
  const code = await run([process.execPath, 'ddsas', ...args])
  answer(`${JSON.stringify({ code, ...printed })}\n`)
}
