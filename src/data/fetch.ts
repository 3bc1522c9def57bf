/** Fetches a data set by name into a data folder. */
import { checkText } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { parseCifarName } from './cifar-layout.ts'
import { fetchCifar10 } from './fetch-cifar10.ts'
import { type Cifar100Options, fetchCifar100 } from './fetch-cifar100.ts'
import type { FetchResult } from './fetch-progress.ts'

export { fetchCifar10 } from './fetch-cifar10.ts'
export { type Cifar100Options, fetchCifar100 } from './fetch-cifar100.ts'
export type { FetchOptions, FetchProgress, FetchResult, FetchStage } from './fetch-progress.ts'

/**
 * Fetches `cifar10` or `cifar100` into its usual subfolder of `directory`; `url` and `md5` are for CIFAR-100 only.
 * @throws DdsasError kind `input` for an unknown name, otherwise as {@link fetchCifar10} and {@link fetchCifar100}
 */
export async function fetchDataset(
  name: string,
  directory: string,
  options: Cifar100Options = {},
): Promise<FetchResult> {
  checkText(directory, 'fetchDataset', 'directory')
  if (parseCifarName(name) === 'cifar100') return fetchCifar100(directory, options)
  if (options.url !== undefined || options.md5 !== undefined) {
    throw new DdsasError('input', '--url and --md5 cannot be used with cifar10: leave them out')
  }
  return fetchCifar10(directory, options)
}
