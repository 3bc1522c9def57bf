/** What some tests need that a clone may lack: they are skipped, saying why, or fail where it has to be there. */
import { existsSync } from 'node:fs'

/** `python`: a Python with PyTorch and ONNX. `shared`: golden values, published cells and photographs. */
export type Need = 'python' | 'shared'

/** DDSAS_REQUIRE names, with commas between, what must be there: where all of it is installed nothing may pass unnoticed. */
const required = (process.env.DDSAS_REQUIRE ?? '').split(',')

/** For node:test's `skip`: false where what is needed is there, or why the test is skipped; an error where it may not be. */
export function skipWithout(need: Need, present: boolean, reason: string): false | string {
  if (!present && required.includes(need)) throw new Error(`${reason}; DDSAS_REQUIRE=${need} asks for it`)
  return present ? false : reason
}

/** As {@link skipWithout}, for a file or folder of the shared data. */
export function skipWithoutShared(path: string): false | string {
  return skipWithout('shared', existsSync(path), `${path} is absent (set DDSAS_SHARED)`)
}
