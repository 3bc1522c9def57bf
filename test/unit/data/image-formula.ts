/** What ddsas::image_augment should compute, written plainly from torchvision's and PIL's definitions in float64. */
import type { Box, ImageSize, Normalisation } from '../../../src/data/image-transform.ts'

/** An RGB colour, each channel 0..1. */
type Colour = readonly [number, number, number]

export interface FormulaInput extends ImageSize {
  /** uint8 [height, width, 3]. */
  readonly pixels: Uint8Array
  readonly box: Box
  readonly flip: boolean
  readonly order: readonly number[]
  readonly factors: readonly number[]
}

/** Weight of each of `count` pixels in output pixel `index`: PIL's triangle filter, widened when shrinking. */
function weights(start: number, length: number, count: number, size: number, index: number): number[] {
  const scale = length / size
  const radius = Math.max(1, scale)
  const centre = start + (index + 0.5) * scale
  const first = Math.max(0, Math.trunc(centre - radius + 0.5))
  const end = Math.min(count, Math.trunc(centre + radius + 0.5))
  const row = Array.from({ length: count }, (_, pixel) =>
    pixel < first || pixel >= end ? 0 : Math.max(0, 1 - Math.abs(pixel + 0.5 - centre) / radius),
  )
  const sum = row.reduce((a, b) => a + b)
  return row.map((weight) => weight / sum)
}

function resized({ pixels, width, height, box }: FormulaInput, size: number): Colour[] {
  const across = Array.from({ length: size }, (_, x) => weights(box.left, box.width, width, size, x))
  const down = Array.from({ length: size }, (_, y) => weights(box.top, box.height, height, size, y))
  return Array.from({ length: size * size }, (_, at): Colour => {
    const sum: [number, number, number] = [0, 0, 0]
    for (const [row, rowWeight] of down[Math.floor(at / size)].entries()) {
      if (rowWeight === 0) continue
      for (const [column, weight] of across[at % size].entries())
        for (const c of [0, 1, 2] as const)
          sum[c] += (rowWeight * weight * pixels[(row * width + column) * 3 + c]) / 255
    }
    return sum
  })
}

const clamp = (x: number) => Math.min(1, Math.max(0, x))
const grey = ([r, g, b]: Colour) => 0.2989 * r + 0.587 * g + 0.114 * b
const map = ([r, g, b]: Colour, f: (x: number) => number): Colour => [f(r), f(g), f(b)]

/** Through hue, saturation and value, each 0..1. */
function turnHue([r, g, b]: Colour, turn: number): Colour {
  const value = Math.max(r, g, b)
  const chroma = value - Math.min(r, g, b)
  const saturation = value === 0 ? 0 : chroma / value
  let hue = 0
  if (chroma > 0 && value === r) hue = (((g - b) / chroma + 6) % 6) / 6
  else if (chroma > 0 && value === g) hue = ((b - r) / chroma + 2) / 6
  else if (chroma > 0) hue = ((r - g) / chroma + 4) / 6
  const turned = (((hue + turn) % 1) + 1) % 1
  const sector = Math.floor(turned * 6)
  const f = turned * 6 - sector
  const p = value * (1 - saturation)
  const q = value * (1 - f * saturation)
  const t = value * (1 - (1 - f) * saturation)
  const sectors: readonly Colour[] = [
    [value, t, p],
    [q, value, p],
    [p, value, t],
    [p, q, value],
    [t, p, value],
    [value, p, q],
  ]
  return sectors[sector % 6]
}

function jittered(
  colours: readonly Colour[],
  operation: number,
  factors: readonly number[],
): readonly Colour[] {
  const factor = factors[operation]
  if (operation === 0) return colours.map((colour) => map(colour, (x) => clamp(factor * x)))
  if (operation === 1) {
    const mean = colours.reduce((sum, colour) => sum + grey(colour), 0) / colours.length
    return colours.map((colour) => map(colour, (x) => clamp(factor * x + (1 - factor) * mean)))
  }
  if (operation === 2)
    return colours.map((colour) => map(colour, (x) => clamp(factor * x + (1 - factor) * grey(colour))))
  return colours.map((colour) => turnHue(colour, factor))
}

/** The result in row-major order [3, size, size]. */
export function augmented(input: FormulaInput, size: number, { mean, std }: Normalisation): number[] {
  let colours: readonly Colour[] = resized(input, size)
  for (const operation of input.order)
    if (operation >= 0) colours = jittered(colours, operation, input.factors)
  return [0, 1, 2].flatMap((c) =>
    colours.map((_, at) => {
      const column = at % size
      const from = input.flip ? at - column + size - 1 - column : at
      return (colours[from][c] - mean[c]) / std[c]
    }),
  )
}
