/** What a network is before it is built: its size, its cost for one image, its depth, the outputs of its blocks. */
import { DdsasError } from '../errors.ts'
import {
  layersOf,
  lookUp,
  type Program,
  parameterCount,
  programCosts,
  programShapes,
  type Shape,
  withoutAuxiliary,
} from '../nn/index.ts'

export interface BlockDescription {
  /** Its kind: `normal`, `reduce`. */
  readonly type: string
  /** Channels, height, width. */
  readonly output: Shape
  readonly parameters: number
  readonly multiplyAdds: number
}

export interface NetworkDescription {
  /** Without the auxiliary head, which only training uses. */
  readonly parameters: number
  readonly parametersWithAuxiliary: number
  /**
   * Multiply-adds of convolutions and linear layers for one image, without biases, batch norms, pooling and the
   * auxiliary head, as DARTS counts them.
   */
  readonly multiplyAdds: number
  /** Convolutions and linear layers on the longest way from the image to the logits. */
  readonly depth: number
  /** Height and width of the images, in pixels. */
  readonly imageSide: number
  readonly cells: readonly BlockDescription[]
}

const imagesOf = (side: number): Shape => [3, side, side]

/**
 * Describes the network of a program for images of `imageSide` pixels. Nothing is drawn and no weight takes memory.
 * @throws {DdsasError} `input` for a side that the network cannot take, or a layer that does not say what it costs.
 */
export function describeProgram(program: Program, imageSide: number): NetworkDescription {
  const own = withoutAuxiliary(program)
  checkFits(own, imageSide)
  const shapes = programShapes(own, imagesOf(imageSide))
  const costs = programCosts(own, imagesOf(imageSide))
  const cells = program.blocks.map(({ name, kind, output }): BlockDescription => {
    const states = own.states.filter(({ block }) => block === name)
    return {
      type: kind,
      output: lookUp(shapes, output),
      parameters: parameterCount(states.flatMap(layersOf)),
      multiplyAdds: sum(states.map(({ id }) => lookUp(costs, id).multiplyAdds)),
    }
  })
  return {
    parameters: parameterCount(own.states.flatMap(layersOf)),
    parametersWithAuxiliary: parameterCount(program.states.flatMap(layersOf)),
    multiplyAdds: sum([...costs.values()].map(({ multiplyAdds }) => multiplyAdds)),
    depth: lookUp(costs, program.outputs.logits).depth,
    imageSide,
    cells,
  }
}

/**
 * Throws DdsasError 'input' where images of `imageSide` pixels leave too little for the auxiliary head, or have a side that
 * the network cannot halve.
 */
export function checkImageSide(program: Program, imageSide: number): void {
  checkFits(withoutAuxiliary(program), imageSide)
  try {
    programShapes(program, imagesOf(imageSide))
  } catch (error) {
    if (!(error instanceof DdsasError)) throw error
    throw new DdsasError(
      'input',
      `images of ${imageSide} px are too small for the auxiliary head (${error.message}): use larger images, or no head (loss.auxiliary=0)`,
    )
  }
}

/** Throws DdsasError 'input' naming a side that fits, where this one does not. */
export function checkFits(program: Program, imageSide: number): void {
  try {
    programShapes(program, imagesOf(imageSide))
  } catch (error) {
    const side = error instanceof DdsasError ? nextSide(program, imageSide) : undefined
    if (side === undefined) throw error
    throw new DdsasError(
      'input',
      `images of ${imageSide} px cannot be halved as often as the network halves them: use ${side} px`,
    )
  }
}

/** The next larger side that fits. */
function nextSide(program: Program, imageSide: number): number | undefined {
  const fits = (side: number) => {
    try {
      return programShapes(program, imagesOf(side)).size > 0
    } catch {
      return false
    }
  }
  return Array.from({ length: 64 }, (_, more) => imageSide + more + 1).find(fits)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
