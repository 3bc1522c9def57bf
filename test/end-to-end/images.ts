/** A small data set in CIFAR-10's layout that can be learned: each class has a pattern of its own, under noise. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Generator } from '../../src/torch/random.ts'

const size = 32
const classes = 10
const names = ['data_batch_1', 'data_batch_2', 'data_batch_3', 'data_batch_4', 'data_batch_5', 'test_batch']

/** A coarse pattern: 4 x 4 squares of random brightness for each colour. */
function pattern(label: number): number[] {
  const generator = new Generator(label, 'pattern')
  const squares = Array.from({ length: 3 * 16 }, () => generator.below(160))
  return Array.from({ length: 3 * size * size }, (_, pixel) => {
    const [plane, y, x] = [Math.floor(pixel / (size * size)), Math.floor(pixel / size) % size, pixel % size]
    return squares[16 * plane + 4 * (y >> 3) + (x >> 3)] ?? 0
  })
}

function record(label: number, clean: readonly number[], generator: Generator): number[] {
  return [label, ...clean.map((brightness) => brightness + generator.below(96))]
}

/** Writes the six files with `perFile` images each into `folder`; another seed gives other images. */
export function writeImages(folder: string, perFile = 40, seed = 0): string {
  mkdirSync(folder, { recursive: true })
  const patterns = Array.from({ length: classes }, (_, label) => pattern(label))
  const generator = new Generator(seed, 'images')
  for (const name of names) {
    const records = Array.from({ length: perFile }, () => {
      const label = generator.below(classes)
      return record(label, patterns[label] ?? [], generator)
    })
    writeFileSync(join(folder, `${name}.bin`), Uint8Array.from(records.flat()))
  }
  return folder
}
