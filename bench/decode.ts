/**
 * `npx tsx bench/decode.ts [--turns N] [--json] [--data DIR]`: how near decoding with all augmentation comes to what sharp alone decodes.
 *
 * Three contestants take turns on the same 200 JPEGs: sharp decoding them in full, sharp decoding them to the random
 * crops at 224 px, and a FolderStream with the whole training transform, in the middle of a pass with its pool full.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { imagePath } from '../src/data/folder.ts'
import { imageSize, readImageFile } from '../src/data/image-decode.ts'
import { type Box, drawImage, randomBox } from '../src/data/image-transform.ts'
import { FolderStream, type ImageFolder, imagenetTraining, readImageFolder } from '../src/data/index.ts'
import { Generator } from '../src/torch/index.ts'
import { machine, median } from './measure.ts'

const { values } = parseArgs({
  options: {
    turns: { type: 'string', default: '9' },
    json: { type: 'boolean', default: false },
    data: { type: 'string' },
  },
})

const images = 200
const batch = 50
const ahead = 2

/** Milliseconds of an image: on the clock, and of all processors together. */
interface Cost {
  readonly clock: number
  readonly processor: number
}

/** JPEGs of 500 x 375 pixels with the detail, and so about the size in bytes, of photographs. */
async function writeImages(directory: string): Promise<void> {
  const generator = new Generator(1)
  const folder = join(directory, 'train/noise')
  mkdirSync(folder, { recursive: true })
  for (let index = 0; index < images; index++) {
    const seed = Buffer.from(Array.from({ length: 60 * 45 * 3 }, () => generator.below(256)))
    const raw = { width: 60, height: 45, channels: 3 } as const
    const smooth = await sharp(seed, { raw }).resize(500, 375, { kernel: 'cubic' }).raw().toBuffer()
    const noisy = smooth.map((value) => Math.min(255, Math.max(0, value + generator.below(25) - 12)))
    await sharp(noisy, { raw: { width: 500, height: 375, channels: 3 } })
      .jpeg({ quality: 90 })
      .toFile(join(folder, `${index}.jpg`))
  }
}

async function measured(count: number, work: () => Promise<void>): Promise<Cost> {
  const processor = process.cpuUsage()
  const began = performance.now()
  await work()
  const clock = (performance.now() - began) / count
  const { user, system } = process.cpuUsage(processor)
  return { clock, processor: (user + system) / 1000 / count }
}

/** Until no task of the pool is left that would slow the next contestant. */
async function idle(): Promise<void> {
  for (let free = 0; free < 3; ) {
    const { process: running, queue } = sharp.counters()
    free = running + queue === 0 ? free + 1 : 0
    await turn()
  }
}

function sharpAlone(folder: ImageFolder, decode: (path: string, index: number) => Promise<unknown>) {
  const paths = Array.from({ length: folder.count }, (_, index) => imagePath(folder, index))
  return () =>
    measured(paths.length, async () => {
      await Promise.all(paths.map(decode))
    })
}

/** Times whole batches between two moments at which equally many are under preparation. */
function stream(folder: ImageFolder) {
  let seed = 0
  return async () => {
    const part = Array.from({ length: folder.count }, (_, index) => index)
    const options = { part, batch, transform: imagenetTraining, device: 'cpu', ahead }
    const source = new FolderStream(folder, options, new Generator(seed++))
    const take = async () => {
      const { images, labels } = await source.next()
      images.dispose()
      labels.dispose()
    }
    for (let warm = 0; warm < ahead + 1; warm++) await take()
    const batches = source.batchesPerPass
    const cost = await measured(batches * batch, async () => {
      for (let count = 0; count < batches; count++) await take()
    })
    source.dispose()
    return cost
  }
}

async function randomBoxes(folder: ImageFolder): Promise<Box[]> {
  const generator = new Generator(2)
  const files = folder.files.map((_, index) => readImageFile(imagePath(folder, index)))
  return (await Promise.all(files)).map((file) =>
    randomBox(imageSize(file), drawImage(imagenetTraining, generator), imagenetTraining),
  )
}

async function compare(folder: ImageFolder, turns: number) {
  const boxes = await randomBoxes(folder)
  const { size } = imagenetTraining
  const contestants = {
    decode: sharpAlone(folder, (path) => sharp(path).raw().toBuffer()),
    decodeCropResize: sharpAlone(folder, (path, index) =>
      sharp(path)
        .extract(boxes[index])
        .resize(size, size, { fit: 'fill', kernel: 'linear' })
        .raw()
        .toBuffer(),
    ),
    stream: stream(folder),
  }
  const costs = new Map<string, Cost[]>(Object.keys(contestants).map((name) => [name, []]))
  for (let round = -1; round < turns; round++)
    for (const [name, run] of Object.entries(contestants)) {
      const cost = await run()
      await idle()
      if (round >= 0) costs.get(name)?.push(cost)
    }
  return Object.fromEntries(
    [...costs].map(([name, list]) => [
      name,
      {
        clock: median(list.map(({ clock }) => clock)),
        processor: median(list.map((cost) => cost.processor)),
      },
    ]),
  )
}

const directory = values.data ?? mkdtempSync(join(tmpdir(), 'ddsas-decode-'))
try {
  if (values.data === undefined) await writeImages(directory)
  const result = await compare(readImageFolder(directory, 'train'), Number(values.turns))
  const against = (name: string, kind: keyof Cost) => result[name][kind] / result.stream[kind]
  const ratios = {
    decode: against('decode', 'clock'),
    decodeProcessor: against('decode', 'processor'),
    decodeCropResize: against('decodeCropResize', 'clock'),
    decodeCropResizeProcessor: against('decodeCropResize', 'processor'),
  }
  if (values.json) console.log(JSON.stringify({ machine: machine(), milliseconds: result, ratios }))
  else {
    console.log('milliseconds an image    clock  processors')
    for (const [name, { clock, processor }] of Object.entries(result))
      console.log(`${name.padEnd(22)} ${clock.toFixed(3).padStart(7)} ${processor.toFixed(3).padStart(11)}`)
    for (const [name, ratio] of Object.entries(ratios))
      console.log(`stream against ${name.padEnd(26)} ${ratio.toFixed(3)}`)
  }
} finally {
  if (values.data === undefined) rmSync(directory, { recursive: true, force: true })
}
