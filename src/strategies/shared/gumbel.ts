/** Standard Gumbel noise, by which candidates are drawn or weighted as the softmax of alpha says. */
import type { ChoiceGroup } from '../../spaces/space.ts'
import type { Generator } from '../../torch/index.ts'
import type { Matrix } from './matrix.ts'

/** -ln E with E exponential, [rows, candidates]; drawn again where it is not finite. */
export function gumbelNoise(
  { rows, candidates }: Pick<ChoiceGroup, 'rows' | 'candidates'>,
  generator: Generator,
): Matrix {
  const draw = (): number => {
    const noise = -Math.log(-Math.log(1 - generator.uniform()))
    return Number.isFinite(noise) ? noise : draw()
  }
  return Array.from({ length: rows }, () => candidates.map(draw))
}
