/** The two halves of the training images: one for the weights, one for the architecture; of image folders class by class. */
import { checkEnough } from '../data/training-images.ts'
import { DdsasError } from '../errors.ts'
import { Generator } from '../torch/index.ts'
import { counted } from '../words.ts'
import type { SearchConfig } from './config.ts'

export interface Split {
  /** Positions of the images that train the weights. */
  readonly train: readonly number[]
  /** Positions of the images that train alpha and zeta, and measure accuracy. */
  readonly valid: readonly number[]
}

/**
 * Splits the training set in its first and second half, as DARTS does; with `data.images` a random subset of it. Throws
 * DdsasError 'input' when there are fewer images than asked for, or too few for two batches.
 */
export function splitTrainVal(count: number, { data, seed }: SearchConfig): Split {
  checkEnough(count, data)
  const used =
    data.images === 0 ? Array.from({ length: count }, (_, i) => i) : subset(count, data.images, seed)
  if (used.length < 2)
    throw new DdsasError('input', `${counted(used.length, 'image')} cannot be split in two halves`)
  const half = Math.floor(used.length / 2)
  return { train: used.slice(0, half), valid: used.slice(half) }
}

/** The images of a folder, as far as a split depends on them. */
export interface Labelled {
  /** Class of each image. */
  readonly labels: ArrayLike<number>
  readonly classes: readonly string[]
}

/**
 * Splits the images of each class in halves, or as `data.trainFraction` and `data.validFraction` say, in an order drawn by the
 * seed; with `data.images` of that many, each class in its proportion. The classes take turns by their size, so that every
 * beginning of a half has them as the whole has. Throws DdsasError 'input' where a class would be missing in a half.
 */
export function splitByClass({ labels, classes }: Labelled, { data, seed }: SearchConfig): Split {
  checkEnough(labels.length, data)
  const all = shuffled(labels, classes.length, new Generator(seed, 'split'))
  const lists = data.images === 0 ? all : firstOf(all, labels, data.images)
  const halves =
    data.trainFraction === 0
      ? halve(lists, classes, data.images)
      : lists.map((list, label) => shares(list, classes[label], data))
  return {
    train: takeTurns(halves.map(({ train }) => train)),
    valid: takeTurns(halves.map(({ valid }) => valid)),
  }
}

/** Positions of the images of each class, in random order. */
function shuffled(labels: ArrayLike<number>, classes: number, generator: Generator): number[][] {
  const lists: number[][] = Array.from({ length: classes }, () => [])
  for (let position = 0; position < labels.length; position++) lists[labels[position]].push(position)
  return lists.map((list) => generator.permutation(list.length).map((index) => list[index]))
}

/** The k-th of n comes at (k + 1/2) / n of the way. */
function takeTurns(lists: readonly (readonly number[])[]): number[] {
  return lists
    .flatMap((list) => list.map((position, index) => ({ position, at: (index + 0.5) / list.length })))
    .sort((a, b) => a.at - b.at)
    .map(({ position }) => position)
}

function firstOf(
  lists: readonly (readonly number[])[],
  labels: ArrayLike<number>,
  images: number,
): number[][] {
  const used: number[][] = lists.map(() => [])
  for (const position of takeTurns(lists).slice(0, images)) used[labels[position]].push(position)
  return used
}

/** Of an odd number one half gets one more: the second, then the first, in turn. */
function halve(lists: readonly (readonly number[])[], classes: readonly string[], images: number): Split[] {
  let more = false
  return lists.map((list, label) => {
    if (list.length < 2) throw tooFew(classes[label], list.length, images)
    const half = list.length % 2 === 1 && more ? Math.ceil(list.length / 2) : Math.floor(list.length / 2)
    if (list.length % 2 === 1) more = !more
    return { train: list.slice(0, half), valid: list.slice(half) }
  })
}

function tooFew(name: string, count: number, images: number): DdsasError {
  const has = `the class ${name} has ${counted(count, 'image')}`
  return new DdsasError(
    'input',
    images === 0
      ? `${has}, which cannot be in both halves: add another, or remove the class`
      : `${has} among data.images = ${images}, too few for two halves: ask for more`,
  )
}

function shares(list: readonly number[], name: string, data: SearchConfig['data']): Split {
  const { trainFraction, validFraction } = data
  const train = Math.round(trainFraction * list.length)
  const valid = Math.min(Math.round(validFraction * list.length), list.length - train)
  if (train > 0 && valid > 0) return { train: list.slice(0, train), valid: list.slice(train, train + valid) }
  const [key, value] = train === 0 ? ['trainFraction', trainFraction] : ['validFraction', validFraction]
  const least = (Math.ceil((1000 * 0.5) / list.length) / 1000).toFixed(3)
  throw new DdsasError(
    'input',
    `data.${key} = ${value} of the ${counted(list.length, 'image')} of the class ${name} is none: use at least ${least}, or more images`,
  )
}

function subset(count: number, size: number, seed: number): number[] {
  return new Generator(seed, 'subset').permutation(count).slice(0, size)
}

/** Throws DdsasError 'input' when a search asks for more images than there are: in all, or in a batch. */
export function checkCounts(count: number, { data }: Pick<SearchConfig, 'data'>): void {
  checkEnough(count, data)
  const used = data.images || count
  if (data.batch > used)
    throw new DdsasError(
      'input',
      `data.batch = ${data.batch}, there are ${used} images; ask for at most that`,
    )
}
