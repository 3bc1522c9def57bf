/**
 * Loads TypeScript in a process that tests start, `node --import scripts/test/typescript.mjs`: from JavaScript that was made of all
 * files at once (`compile.mjs`). `tsx`, which looks at each file in each process, takes half a second longer to start one.
 */
import { register } from 'node:module'

register('./typescript-hooks.mjs', import.meta.url)
