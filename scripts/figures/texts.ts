/** All texts with blocks of figures: those of measurements, and the limits of sizes that the check keeps. */
import { measuredBlocks, type Text, textsOf } from '../../bench/figures/texts.ts'
import { limitLines } from '../check/sizes.ts'

export function figureTexts(root: string): Text[] {
  return textsOf(root, { ...measuredBlocks(root), 'CONTRIBUTING.md': { sizes: limitLines() } })
}
