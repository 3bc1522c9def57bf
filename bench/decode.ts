/**
 * `decode`: how near decoding image files with all augmentation comes to what sharp alone decodes.
 *
 * Three contestants take turns on the same JPEGs: sharp decoding them in full, sharp decoding them to the random crops at
 * 224 px, and a FolderStream with the whole training transform, in the middle of a pass with its pool full.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import sharp from 'sharp'
import { z } from 'zod'
import { imagePath } from '../src/data/folder.ts'
import { imageSize, readImageFile } from '../src/data/image-decode.ts'
import { type Box, drawImage, randomBox } from '../src/data/image-transform.ts'
import { FolderStream, type ImageFolder, imagenetTraining, readImageFolder } from '../src/data/index.ts'
import { Generator } from '../src/torch/index.ts'
import { defineBenchmark, type Shown } from './benchmark.ts'
import { isSettled, median, rounds } from './measure.ts'
import type { Settings } from './settings.ts'
import { percent } from './table.ts'

const images = 200
const batch = 50
const ahead = 2

const costSchema = z.object({ clock: z.number(), processor: z.number() })

/** Milliseconds of an image: on the clock, and of all processors together. */
type Cost = z.infer<typeof costSchema>

const schema = z.object({
  turns: z.number(),
  /** Medians. */
  milliseconds: z.object({ decode: costSchema, decodeCropResize: costSchema, stream: costSchema }),
  /** How much of what sharp decodes in a time the stream does: 1 would be all. */
  ratios: z.object({ decode: costSchema, decodeCropResize: costSchema }),
})

type Report = z.infer<typeof schema>
type Medians = Report['milliseconds']

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

const contestantNames = ['decode', 'decodeCropResize', 'stream'] as const

async function compare(
  folder: ImageFolder,
  turns: number | undefined,
): Promise<Pick<Report, 'turns' | 'milliseconds'>> {
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
  const costs: Record<keyof Medians, Cost[]> = { decode: [], decodeCropResize: [], stream: [] }
  const settled = () => Object.values(costs).every((list) => isSettled(list.map(({ clock }) => clock)))
  for (const { order, counts } of rounds(contestantNames.length, turns, settled, 1))
    for (const name of order.map((place) => contestantNames[place])) {
      const cost = await contestants[name]()
      await idle()
      if (counts) costs[name].push(cost)
    }
  const medians = (list: readonly Cost[]) => ({
    clock: median(list.map(({ clock }) => clock)),
    processor: median(list.map(({ processor }) => processor)),
  })
  return {
    turns: costs.stream.length,
    milliseconds: {
      decode: medians(costs.decode),
      decodeCropResize: medians(costs.decodeCropResize),
      stream: medians(costs.stream),
    },
  }
}

async function measure({ turns: asked, data }: Settings): Promise<Report> {
  const directory = data ?? mkdtempSync(join(tmpdir(), 'ddsas-decode-'))
  try {
    if (data === undefined) await writeImages(directory)
    const { turns, milliseconds } = await compare(readImageFolder(directory, 'train'), asked)
    const { stream } = milliseconds
    const against = ({ clock, processor }: Cost) => ({
      clock: clock / stream.clock,
      processor: processor / stream.processor,
    })
    const ratios = {
      decode: against(milliseconds.decode),
      decodeCropResize: against(milliseconds.decodeCropResize),
    }
    return { turns, milliseconds, ratios }
  } finally {
    if (data === undefined) rmSync(directory, { recursive: true, force: true })
  }
}

function show({ turns, milliseconds, ratios }: Report): Shown {
  const row = (name: string, { clock, processor }: Cost) => [name, clock.toFixed(3), processor.toFixed(3)]
  return {
    tables: [
      {
        title: `Milliseconds of a JPEG, medians of ${turns} turns over ${images} of them (made images: 500 x 375 px)`,
        columns: ['', 'clock', 'all processors'],
        rows: [
          row('sharp decodes all', milliseconds.decode),
          row('sharp decodes a crop to 224 px', milliseconds.decodeCropResize),
          row('FolderStream, whole training transform', milliseconds.stream),
        ],
      },
    ],
    notes: [
      `The stream does ${percent(ratios.decode.clock)} of what sharp does that decodes all, and ` +
        `${percent(ratios.decodeCropResize.clock)} of what it does with crops.`,
    ],
    charts: {},
  }
}

export const decode = defineBenchmark({
  about: 'image files: decoding with all augmentation against sharp alone',
  takes: ['turns', 'data'],
  schema,
  measure,
  show,
})
