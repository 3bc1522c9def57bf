#!/usr/bin/env node
// The `ddsas` command: runs the compiled command line, or says how to compile it.
import { existsSync } from 'node:fs'

const main = new URL('../dist/cli/main.js', import.meta.url)

function refuse() {
  console.error('ddsas: not set up yet; run: npm run setup')
  process.exitCode = 2
}

async function start() {
  if (!existsSync(main)) return refuse()
  try {
    const { run } = await import(main.href)
    process.exitCode = await run(process.argv)
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    refuse()
  }
}

await start()
