/** Two operations joined to the space of DARTS: a plain 3x3 convolution, and squeeze-and-excite (Hu et al., 2018). */
import { pathToFileURL } from 'node:url'
import { cellSpace, darts, nn, type Operation, runSearch } from 'ddsas'

const conv3x3: Operation = ({ channels, stride, affine }) =>
  nn.sequential('op', [
    nn.relu,
    nn.conv2d(channels, channels, 3, { stride }),
    nn.batchNorm2d(channels, affine),
  ])

const squeezeExcite: Operation = ({ channels, stride, affine }) => {
  const squeezed = Math.ceil(channels / 4)
  const scales = nn.sequential('scales', [
    nn.globalAvgPool2d,
    nn.conv2d(channels, squeezed, 1, { bias: true }),
    nn.relu,
    nn.conv2d(squeezed, channels, 1, { bias: true }),
    nn.sigmoid,
  ])
  return [
    ...(stride === 2 ? [nn.functional(nn.pool2d('avg', 2))] : []),
    nn.functional(nn.gate(scales)),
    { name: 'bn', layer: nn.batchNorm2d(channels, affine) },
  ]
}

/** `darts` with both among the candidates of every edge. */
export const space = cellSpace({
  ...darts,
  name: 'darts-own',
  operations: { ...darts.operations, conv_3x3: conv3x3, squeeze_excite: squeezeExcite },
})

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { run, architecture } = await runSearch({ preset: 'demo', space })
  console.log(`${space.format(space.parse(architecture, 'found'))}\nin ${run.path}`)
}
