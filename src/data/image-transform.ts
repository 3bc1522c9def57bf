/** How images of any size become inputs of one: torchvision's RandomResizedCrop, flip and ColorJitter, Resize and CenterCrop. */
import { DdsasError } from '../errors.ts'
import type { Generator } from '../torch/index.ts'

export interface ImageSize {
  readonly width: number
  readonly height: number
}

/** A part of an image in its pixels; edges may lie between two. */
export interface Box extends ImageSize {
  readonly left: number
  readonly top: number
}

/** Per channel (R, G, B), of pixels scaled to 0..1. */
export interface Normalisation {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** Largest relative changes: a factor is drawn from 1 - x .. 1 + x; the hue is turned by -x .. x of a full turn, x <= 0.5. */
export interface ColorJitter {
  readonly brightness: number
  readonly contrast: number
  readonly saturation: number
  readonly hue: number
}

export interface TrainingTransform extends Normalisation {
  /** Height and width of the result in pixels. */
  readonly size: number
  /** Bounds of the crop's share of the image's area. */
  readonly scale: readonly [number, number]
  /** Bounds of the crop's width over its height. */
  readonly ratio: readonly [number, number]
  /** Mirror half of the images. */
  readonly flip: boolean
  /** Absent: colours stay. */
  readonly jitter?: ColorJitter | undefined
}

export interface EvaluationTransform extends Normalisation {
  /** Height and width of the result in pixels. */
  readonly size: number
  /** Length in pixels that the shorter side is resized to before the centre is cut out; at least `size`. */
  readonly resize: number
}

const imagenetStatistics: Normalisation = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

/** The published ImageNet recipe for training. */
export const imagenetTraining: TrainingTransform = {
  ...imagenetStatistics,
  size: 224,
  scale: [0.08, 1],
  ratio: [3 / 4, 4 / 3],
  flip: true,
  jitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.2 },
}

/** The published ImageNet recipe for evaluation: shorter side 256, centre 224. */
export const imagenetEvaluation: EvaluationTransform = { ...imagenetStatistics, size: 224, resize: 256 }

/** Everything random about one image of a batch. How much is drawn does not depend on the image. */
export interface ImageDraw {
  /** Uniform numbers: an area and a ratio for each attempt at a crop, then its place (top, left). */
  readonly crop: readonly number[]
  readonly flip: boolean
  /** The jitter's operations in their order (0 brightness, 1 contrast, 2 saturation, 3 hue), or four times -1. */
  readonly order: readonly number[]
  /** Factors for brightness, contrast and saturation, and the turn of the hue. */
  readonly factors: readonly number[]
}

const attempts = 10

/** No change of colours, no flip: for evaluation. */
export const noDraw: ImageDraw = { crop: [], flip: false, order: [-1, -1, -1, -1], factors: [1, 1, 1, 0] }

/** What is drawn for one image: always as many numbers, in the same order. */
export function drawImage({ flip, jitter }: TrainingTransform, generator: Generator): ImageDraw {
  const crop = Array.from({ length: 2 * attempts + 2 }, () => generator.uniform())
  const flipped = flip && generator.below(2) === 1
  if (!jitter) return { ...noDraw, crop, flip: flipped }
  const order = generator.permutation(4)
  const { brightness, contrast, saturation, hue } = jitter
  const between = (low: number, high: number) => low + (high - low) * generator.uniform()
  const factors = [brightness, contrast, saturation].map((x) => between(Math.max(0, 1 - x), 1 + x))
  return { crop, flip: flipped, order, factors: [...factors, between(-hue, hue)] }
}

/** The box of RandomResizedCrop: of ten attempts the first that fits, otherwise the largest central one. */
export function randomBox(image: ImageSize, draw: ImageDraw, { scale, ratio }: TrainingTransform): Box {
  const [logLow, logHigh] = ratio.map(Math.log)
  const [top, left] = draw.crop.slice(2 * attempts)
  for (let attempt = 0; attempt < attempts; attempt++) {
    const [share, shape] = draw.crop.slice(2 * attempt)
    const area = image.width * image.height * (scale[0] + (scale[1] - scale[0]) * share)
    const aspect = Math.exp(logLow + (logHigh - logLow) * shape)
    const width = Math.round(Math.sqrt(area * aspect))
    const height = Math.round(Math.sqrt(area / aspect))
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue
    const place = (u: number, room: number) => Math.floor(u * (room + 1))
    return {
      left: place(left, image.width - width),
      top: place(top, image.height - height),
      width,
      height,
    }
  }
  return centralBox(image, ratio)
}

function centralBox(image: ImageSize, [low, high]: readonly [number, number]): Box {
  const shape = image.width / image.height
  const height = shape < low ? Math.max(1, Math.round(image.width / low)) : image.height
  const width = shape > high ? Math.max(1, Math.round(image.height * high)) : image.width
  return {
    left: Math.floor((image.width - width) / 2),
    top: Math.floor((image.height - height) / 2),
    width,
    height,
  }
}

/**
 * The box that Resize and CenterCrop keep, in the image's own pixels.
 * @throws DdsasError kind `input` where the crop is larger than what it is cut from
 */
export function centreBox(image: ImageSize, { size, resize }: EvaluationTransform): Box {
  if (resize < size)
    throw new DdsasError('input', `a centre of ${size} px cannot be cut from ${resize} px: raise resize`)
  const shorter = Math.min(image.width, image.height)
  const axis = (length: number) => {
    const resized = Math.floor((resize * length) / shorter)
    const pixels = length / resized
    return { start: halfEven((resized - size) / 2) * pixels, length: size * pixels }
  }
  const [across, down] = [axis(image.width), axis(image.height)]
  return { left: across.start, top: down.start, width: across.length, height: down.length }
}

/** Python's round, for whole and half numbers. */
function halfEven(value: number): number {
  return Number.isInteger(value) ? value : 2 * Math.round(value / 2)
}
