/** What a checkpoint holds of a strategy, checked. */
import type { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import type { StateDict } from '../strategy.ts'

/** The data of a state. Throws DdsasError 'checkpoint' where they are not what `schema` says. */
export function stateData<Data>({ data }: StateDict, schema: z.ZodType<Data>): Data {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  throw new DdsasError(
    'checkpoint',
    `the state of the strategy is malformed: ${parsed.error.issues[0].message}`,
  )
}
