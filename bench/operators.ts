/** `operators`: each kernel against ATen's operators in both layouts, forward and backward apart. */
import { z } from 'zod'
import type { ChartSpec } from '../src/export/chart.ts'
import { channelsLast, contiguous, Generator, type Tensor, tidy, withoutKernels } from '../src/torch/index.ts'
import { defineBenchmark, type Shown } from './benchmark.ts'
import { takeTurns } from './measure.ts'
import { type Inputs, type OperatorCase, operatorCases } from './operator-cases.ts'
import { type Passes, passesOf } from './passes.ts'
import type { Settings } from './settings.ts'
import { type Spread, spreadOf, spreadSchema, spreadText, turnsText } from './spread.ts'
import { type Table, times } from './table.ts'

const passSchema = z.object({
  operator: z.string(),
  variant: z.string(),
  shape: z.array(z.number()),
  pass: z.enum(['forward', 'backward']),
  ours: spreadSchema,
  channelsLast: spreadSchema,
  nchw: spreadSchema,
  /** Depthwise convolution alone, which is a part of a separable one: ours (with its ReLU) and libtorch's. */
  ownDepthwise: spreadSchema.optional(),
  depthwiseChannelsLast: spreadSchema.optional(),
  depthwiseNchw: spreadSchema.optional(),
})

const schema = z.object({
  batch: z.number(),
  channels: z.number(),
  passes: z.array(passSchema),
})

type Pass = z.infer<typeof passSchema>
type Report = z.infer<typeof schema>

/** Who takes part in a case, by the name in the report. */
export function contestantsOf(one: OperatorCase, given: Inputs): Record<string, Passes> {
  const count = given.images.length
  const enter = (name: string, apply: OperatorCase['apply'], arrange: (x: Tensor) => Tensor) => {
    const inputs = tidy(() => [...given.images.map(arrange), ...given.weights])
    return passesOf(name, inputs, (leaves) =>
      apply({ images: leaves.slice(0, count), weights: leaves.slice(count) }),
    )
  }
  const aten = (inputs: Inputs) => withoutKernels(() => one.apply(inputs))
  const { depthwise, ownDepthwise } = one
  return {
    ours: enter('ours', one.apply, channelsLast),
    channelsLast: enter('channels last', aten, channelsLast),
    nchw: enter('NCHW', aten, contiguous),
    ...(ownDepthwise && { ownDepthwise: enter('our depthwise', ownDepthwise, channelsLast) }),
    ...(depthwise && {
      depthwiseChannelsLast: enter('depthwise, channels last', depthwise, channelsLast),
      depthwiseNchw: enter('depthwise, NCHW', depthwise, contiguous),
    }),
  }
}

/** Both passes of all contestants of one case, which take turns. */
function measureCase(one: OperatorCase, turns: number | undefined): Pass[] {
  return tidy(() => {
    const contestants = contestantsOf(one, one.inputs(new Generator(5)))
    const all = Object.values(contestants)
    const timings = takeTurns(
      all.map(({ forward, backward }) => [forward, backward]),
      turns,
    )
    for (const passes of all) passes.dispose()
    const { operator, variant, shape } = one
    return (['forward', 'backward'] as const).map((pass, offset) => {
      const spreads = Object.keys(contestants).map(
        (name, index) => [name, spreadOf(timings[2 * index + offset])] as const,
      )
      return passSchema.parse({ operator, variant, shape, pass, ...Object.fromEntries(spreads) })
    })
  })
}

function measure({ batch, channels, turns }: Settings): Report {
  const passes = operatorCases(batch, channels).flatMap((one) => measureCase(one, turns))
  return { batch, channels, passes }
}

function chart({ batch, passes }: Report): ChartSpec {
  const values = passes.flatMap(({ operator, variant, shape, pass, ours, channelsLast, nchw }) => {
    const at = { operator: `${operator}, ${variant}`, pass, shape: `${shape[1]} x ${shape[2]} x ${shape[3]}` }
    return [
      { ...at, against: 'channels last', speedup: channelsLast.median / ours.median },
      { ...at, against: 'NCHW', speedup: nchw.median / ours.median },
    ]
  })
  return {
    title: {
      text: 'How many times faster than ATen’s operators',
      subtitle: `batch ${batch}; medians; a point for each shape, and 1 where neither is faster`,
    },
    data: { values },
    facet: { column: { field: 'pass', type: 'nominal', title: null, sort: ['forward', 'backward'] } },
    spec: {
      width: 300,
      layer: [
        {
          mark: { type: 'point', filled: true, size: 45, opacity: 0.8 },
          encoding: {
            y: { field: 'operator', type: 'nominal', title: null, sort: null },
            x: {
              field: 'speedup',
              type: 'quantitative',
              title: 'times faster',
              scale: { type: 'log', nice: false, padding: 12 },
            },
            color: { field: 'against', type: 'nominal', title: 'against' },
            shape: { field: 'shape', type: 'nominal', title: 'channels x pixels', sort: null },
          },
        },
        { mark: { type: 'rule', strokeDash: [4, 4], color: '#888888' }, encoding: { x: { datum: 1 } } },
      ],
    },
  }
}

/** The passes that differ in nothing but the shape, under what they have in common. */
function byShape(passes: readonly Pass[]): [name: string, group: Pass[]][] {
  const groups = new Map<string, Pass[]>()
  for (const pass of passes) {
    const name = `${pass.operator}, ${pass.variant}, ${pass.pass}`
    groups.set(name, [...(groups.get(name) ?? []), pass])
  }
  return [...groups]
}

const shapesOf = (passes: readonly Pass[]) => [...new Set(passes.map(({ shape }) => shape.join(' x ')))]

function speedTable({ passes }: Report): Table {
  const against = (group: readonly Pass[], kind: 'channelsLast' | 'nchw') =>
    group.map((pass) => times(pass[kind].median / pass.ours.median)).join(' / ')
  return {
    title: `The kernels against ATen's operators at ${shapesOf(passes).join(' / ')}, ${turnsText(passes.map(({ ours }) => ours))}`,
    columns: ['', 'ours, ms', 'than channels last', 'than NCHW'],
    rows: byShape(passes).map(([name, group]) => [
      name,
      group.map(({ ours }) => (1000 * ours.median).toFixed(2)).join(' / '),
      against(group, 'channelsLast'),
      against(group, 'nchw'),
    ]),
  }
}

/** Our backward pass of a depthwise convolution, and that of a whole separable one, beside libtorch's depthwise one. */
function depthwiseTable({ passes }: Report): Table {
  const milliseconds = (spread?: Spread) => (spread ? spreadText(spread, 1000, 2) : '')
  return {
    title:
      "Backward of the depthwise convolution alone: ours, with its ReLU and one output for the 1x1 convolution, and libtorch's; in ms (quartiles)",
    columns: ['', 'ours, all', 'ours', 'channels last', 'NCHW', 'than channels last'],
    rows: passes
      .filter(({ pass }) => pass === 'backward')
      .flatMap(({ operator, variant, shape, ours, ownDepthwise, depthwiseChannelsLast, depthwiseNchw }) =>
        ownDepthwise && depthwiseChannelsLast
          ? [
              [
                `${operator}, ${variant}, ${shape.join(' x ')}`,
                milliseconds(ours),
                milliseconds(ownDepthwise),
                milliseconds(depthwiseChannelsLast),
                milliseconds(depthwiseNchw),
                times(depthwiseChannelsLast.median / ownDepthwise.median),
              ],
            ]
          : [],
      ),
  }
}

function show(report: Report): Shown {
  return {
    tables: [speedTable(report), depthwiseTable(report)],
    notes: [],
    charts: { operators: chart(report) },
  }
}

export const operators = defineBenchmark({
  about: "each kernel, forward and backward, against ATen's operators in both layouts",
  takes: ['turns', 'threads', 'channels', 'batch'],
  schema,
  measure,
  show,
})
