/**
 * Imported before the compiled `ddsas`: once a search has told of so many steps (`steps` of this file's address), tensors may take
 * `room` of what steps so far took at their peak beyond what stays between them: 1 is enough for a step, 0.5 is not.
 */
import { setMemoryLimit, tensorMemory } from '../../dist/torch/index.js'

const options = new URL(import.meta.url).searchParams
let left = Number(options.get('steps'))
const write = process.stdout.write.bind(process.stdout)
process.stdout.write = (text, ...rest) => {
  if (String(text).startsWith('{"kind":"step"') && --left === 0) {
    const { live, peak } = tensorMemory()
    setMemoryLimit('cpu', live + Math.round((peak - live) * Number(options.get('room'))))
  }
  return write(text, ...rest)
}
