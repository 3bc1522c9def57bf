/** Runs the tests of several files in this process: `node several.mjs FILE…`. Each file's tests begin once it is loaded. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

for (const file of process.argv.slice(2)) await import(pathToFileURL(resolve(file)).href)
