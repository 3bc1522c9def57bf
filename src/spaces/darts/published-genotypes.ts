/** Published cells of the DARTS space, by the names their authors gave them. */
import { checkText } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import type { NetworkSize } from '../space.ts'
import type { Genotype, GenotypeEdge } from './genotype.ts'

/** Edges written as "operation input", all four nodes concatenated. */
function genotype(normal: string, reduce: string): Genotype {
  const edges = (text: string) =>
    text.split(',').map((edge): GenotypeEdge => {
      const [operation = '', input] = edge.trim().split(' ')
      return [operation, Number(input)]
    })
  const concat = [2, 3, 4, 5]
  return { normal: edges(normal), normal_concat: concat, reduce: edges(reduce), reduce_concat: concat }
}

export const publishedGenotypes = {
  /** DDSAS, found on CIFAR-10. */
  DDSAS_cifar10: genotype(
    `sep_conv_3x3 0, skip_connect 1, sep_conv_3x3 2, skip_connect 0,
     sep_conv_5x5 0, skip_connect 1, sep_conv_5x5 1, sep_conv_5x5 3`,
    `sep_conv_5x5 1, sep_conv_5x5 0, max_pool_3x3 1, sep_conv_5x5 0,
     max_pool_3x3 0, dil_conv_5x5 2, max_pool_3x3 0, sep_conv_5x5 2`,
  ),
  /** DDSAS, found on CIFAR-100. */
  DDSAS_cifar100: genotype(
    `skip_connect 0, sep_conv_3x3 1, sep_conv_3x3 0, dil_conv_5x5 1,
     sep_conv_3x3 0, sep_conv_3x3 1, sep_conv_3x3 0, sep_conv_3x3 2`,
    `sep_conv_3x3 0, sep_conv_5x5 1, sep_conv_3x3 2, skip_connect 1,
     sep_conv_3x3 2, sep_conv_3x3 3, sep_conv_3x3 1, sep_conv_3x3 3`,
  ),
  /** DDSAS, found on ImageNet. */
  DDSAS_imagenet: genotype(
    `sep_conv_3x3 0, sep_conv_5x5 1, skip_connect 0, sep_conv_3x3 1,
     sep_conv_3x3 1, sep_conv_3x3 3, skip_connect 2, sep_conv_5x5 3`,
    `sep_conv_5x5 1, sep_conv_5x5 0, sep_conv_5x5 1, sep_conv_3x3 0,
     sep_conv_5x5 0, sep_conv_5x5 2, skip_connect 2, sep_conv_5x5 3`,
  ),
  /** DARTS, first order. */
  DARTS_V1: genotype(
    `sep_conv_3x3 1, sep_conv_3x3 0, skip_connect 0, sep_conv_3x3 1,
     skip_connect 0, sep_conv_3x3 1, sep_conv_3x3 0, skip_connect 2`,
    `max_pool_3x3 0, max_pool_3x3 1, skip_connect 2, max_pool_3x3 0,
     max_pool_3x3 0, skip_connect 2, skip_connect 2, avg_pool_3x3 0`,
  ),
  /** DARTS, second order. */
  DARTS_V2: genotype(
    `sep_conv_3x3 0, sep_conv_3x3 1, sep_conv_3x3 0, sep_conv_3x3 1,
     sep_conv_3x3 1, skip_connect 0, skip_connect 0, dil_conv_3x3 2`,
    `max_pool_3x3 0, max_pool_3x3 1, skip_connect 2, max_pool_3x3 1,
     max_pool_3x3 0, skip_connect 2, skip_connect 2, max_pool_3x3 1`,
  ),
  /** PC-DARTS, found on CIFAR-10. */
  PC_DARTS_cifar: genotype(
    `sep_conv_3x3 1, skip_connect 0, sep_conv_3x3 0, dil_conv_3x3 1,
     sep_conv_5x5 0, sep_conv_3x3 1, avg_pool_3x3 0, dil_conv_3x3 1`,
    `sep_conv_5x5 1, max_pool_3x3 0, sep_conv_5x5 1, sep_conv_5x5 2,
     sep_conv_3x3 0, sep_conv_3x3 3, sep_conv_3x3 1, sep_conv_3x3 2`,
  ),
  /** PC-DARTS, found on ImageNet. */
  PC_DARTS_image: genotype(
    `skip_connect 1, sep_conv_3x3 0, sep_conv_3x3 0, skip_connect 1,
     sep_conv_3x3 1, sep_conv_3x3 3, sep_conv_3x3 1, dil_conv_5x5 4`,
    `sep_conv_3x3 0, skip_connect 1, dil_conv_5x5 2, max_pool_3x3 1,
     sep_conv_3x3 2, sep_conv_3x3 1, sep_conv_5x5 0, sep_conv_3x3 3`,
  ),
  /** GDAS. */
  GDAS_V1: genotype(
    `skip_connect 0, skip_connect 1, skip_connect 0, sep_conv_5x5 2,
     sep_conv_3x3 3, skip_connect 0, sep_conv_5x5 4, sep_conv_3x3 3`,
    `sep_conv_5x5 0, sep_conv_3x3 1, sep_conv_5x5 2, sep_conv_5x5 1,
     dil_conv_5x5 2, sep_conv_3x3 1, sep_conv_5x5 0, sep_conv_5x5 1`,
  ),
} as const satisfies Record<string, Genotype>

export type PublishedName = keyof typeof publishedGenotypes

const cifar10: NetworkSize = { kind: 'cifar', channels: 36, cells: 20, classes: 10 }
const imagenet: NetworkSize = { kind: 'imagenet', channels: 48, cells: 14, classes: 1000 }

/** What the papers retrain for each kind of images. */
export const usualSizes = { cifar: cifar10, imagenet } as const satisfies Record<
  NetworkSize['kind'],
  NetworkSize
>

/** The network that a published cell was published for, where that is not CIFAR-10's. */
const publishedSizes: Partial<Record<PublishedName, NetworkSize>> = {
  DDSAS_cifar100: { ...cifar10, classes: 100 },
  // with 48 channels it would have more than the 600 M multiply-adds that are allowed there
  DDSAS_imagenet: { ...imagenet, channels: 46 },
  PC_DARTS_image: imagenet,
}

/** The size of the network that a published cell was published for. */
export function publishedSize(name: PublishedName): NetworkSize {
  return publishedSizes[name] ?? cifar10
}

/** Whether a text names a published cell. */
export function isPublished(name: string): name is PublishedName {
  return Object.hasOwn(publishedGenotypes, name)
}

/** A published cell by its name. @throws {DdsasError} `input` listing the known names. */
export function publishedGenotype(name: string): Genotype {
  checkText(name, 'publishedGenotype', 'name')
  if (isPublished(name)) return publishedGenotypes[name]
  const known = Object.keys(publishedGenotypes).join(', ')
  throw new DdsasError('input', `there is no published genotype '${name}'; known are ${known}`)
}
