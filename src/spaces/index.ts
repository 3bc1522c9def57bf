/** The registry of spaces: the one file that knows them all. */
import { checkText } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { dartsSpace } from './darts/cell-space.ts'
import { spaceName, spaceNumbers } from './nasbench1shot1/architecture.ts'
import { nasbench1shot1Space } from './nasbench1shot1/space.ts'
import { nasbench201Space } from './nasbench201/space.ts'
import type { SearchSpace } from './space.ts'

export const spaces: Readonly<Record<string, SearchSpace>> = {
  darts: dartsSpace,
  nasbench201: nasbench201Space,
  ...Object.fromEntries(spaceNumbers.map((number) => [spaceName(number), nasbench1shot1Space(number)])),
}

/** Throws DdsasError 'input' listing the known spaces. */
export function findSpace(name: string): SearchSpace {
  checkText(name, 'findSpace', 'name')
  if (Object.hasOwn(spaces, name)) return spaces[name]
  throw new DdsasError('input', `there is no space '${name}'; known are ${Object.keys(spaces).join(', ')}`)
}
