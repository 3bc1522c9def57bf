/** The blocks of bench/README.md on the search step of one space, which `bench -- step --space SPACE --json` measured. */
import { DdsasError } from '../../src/errors.ts'
import { readJson } from '../../src/runs/files.ts'
import { codeText, machineSchema, machineText } from '../machine.ts'
import { stepSchema } from '../search-step.ts'
import { shapeText } from '../settings.ts'
import { spreadText, turnsText } from '../spread.ts'
import { mebibytes, tableLines } from '../table.ts'

const schema = stepSchema.extend({ machine: machineSchema })

/** `path`: of what was printed. */
export function spaceStepLines(path: string): string[] {
  const parsed = schema.safeParse(readJson(path))
  if (!parsed.success) throw new DdsasError('data', `${path} is no result of 'step'; measure it again`)
  const { machine, shape, timings, speedupNchw, speedupChannelsLast, memoryRatio } = parsed.data
  return [
    `${machineText(machine)}; ${codeText(machine)}`,
    '',
    ...tableLines({
      title: `The search step, ${shapeText(shape)}, ${turnsText(timings)}`,
      columns: ['', 's (quartiles)', 'peak MiB'],
      rows: timings.map((timing) => [timing.name, spreadText(timing), mebibytes(timing.peak)]),
    }),
    '',
    `Ours takes ${(1 / speedupNchw).toFixed(2)} of the time of plain NCHW, ${(1 / speedupChannelsLast).toFixed(2)} of that of ` +
      `channels last, and ${memoryRatio.toFixed(2)} of the memory.`,
  ]
}
