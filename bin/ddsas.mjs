#!/usr/bin/env node
// The `ddsas` command: runs the compiled command line, or says how to compile it.
import { existsSync } from 'node:fs'

const main = new URL('../dist/cli/main.js', import.meta.url)

/** A checkout that is not compiled knows one command: the one that compiles it. */
async function startUncompiled() {
  const [command, ...args] = process.argv.slice(2)
  if (command === 'setup') {
    const setup = await import('../scripts/setup.mjs')
    return setup.main(args)
  }
  console.error('ddsas: not set up yet; run: npx ddsas setup')
  return 2
}

async function start() {
  if (!existsSync(main)) return startUncompiled()
  try {
    const { run } = await import(main.href)
    return await run(process.argv)
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    return startUncompiled()
  }
}

process.exitCode = await start()
