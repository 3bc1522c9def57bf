/** What networks end with. */
import { flatten, functional, globalAvgPool2d, linear, type Sequence } from '../nn/index.ts'

/** Mean of each channel, then a linear layer of that name. */
export function classifier(channels: number, classes: number, name: string): Sequence {
  return [functional(globalAvgPool2d), functional(flatten), { name, layer: linear(channels, classes) }]
}
