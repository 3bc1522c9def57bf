/** Writes the first images of CIFAR-10 as a data set of the same form: part-of-cifar.mjs FROM TO TRAINING TEST. */
import { closeSync, existsSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const recordBytes = 3073
const folder = 'cifar-10-batches-bin'

function firstRecords(from, names, count) {
  const all = Buffer.alloc(count * recordBytes)
  let filled = 0
  for (const name of names) {
    if (filled === all.length) break
    const file = openSync(join(from, name), 'r')
    filled += readSync(file, all, filled, all.length - filled, 0)
    closeSync(file)
  }
  return all.subarray(0, filled)
}

function main([from, to, train, test]) {
  const source = existsSync(join(from, folder)) ? join(from, folder) : from
  const batches = [1, 2, 3, 4, 5].map((n) => `data_batch_${n}.bin`)
  mkdirSync(to, { recursive: true })
  const part = firstRecords(source, batches, Number(train))
  const share = Math.ceil(part.length / recordBytes / batches.length) * recordBytes
  for (const [i, name] of batches.entries())
    writeFileSync(join(to, name), part.subarray(i * share, (i + 1) * share))
  writeFileSync(join(to, 'test_batch.bin'), firstRecords(source, ['test_batch.bin'], Number(test)))
}

main(process.argv.slice(2))
