/** `ddsas describe`: published names at the size they were published for, against exact counts; its edges and its JSON. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { describeCommand } from '../../../src/cli/describe.ts'
import { type PublishedName, publishedGenotypes } from '../../../src/spaces/darts/published-genotypes.ts'

async function describe(...args: readonly string[]): Promise<string> {
  let printed = ''
  await describeCommand((text) => {
    printed += text
  }).parseAsync(args, { from: 'user' })
  return printed
}

const described = z.looseObject({
  network: z.object({ kind: z.string(), channels: z.number(), cells: z.number(), classes: z.number() }),
  genotype: z.unknown(),
  parameters: z.number(),
  parametersWithAuxiliary: z.number(),
  multiplyAdds: z.number(),
  imageSide: z.number(),
})

async function numbers(...args: readonly string[]): Promise<z.infer<typeof described>> {
  return described.parse(JSON.parse(await describe(...args, '--json')))
}

const shared = process.env.DDSAS_SHARED ?? join(import.meta.dirname, '../../../../shared')
const counts = join(shared, 'data/genotypes/genotypes.json')
const skip = existsSync(counts) ? false : `${counts} is absent (set DDSAS_SHARED)`

const countsSchema = z.array(
  z.looseObject({
    name: z.string(),
    cifar10_C36_L20_params: z.number(),
    cifar100_C36_L20_params: z.number(),
    imagenet_C48_L14_params: z.number(),
    imagenet_C48_L14_params_with_aux: z.number(),
    imagenet_C46_L14_params: z.number(),
    imagenet_C46_L14_macs: z.number(),
  }),
)

test('every published name has the exact parameters of the network it was published for', {
  skip,
}, async () => {
  const known = new Map(
    countsSchema.parse(JSON.parse(readFileSync(counts, 'utf8'))).map((entry) => [entry.name, entry]),
  )
  const elsewhere: Partial<
    Record<PublishedName, 'cifar100_C36_L20' | 'imagenet_C48_L14' | 'imagenet_C46_L14'>
  > = {
    DDSAS_cifar100: 'cifar100_C36_L20',
    DDSAS_imagenet: 'imagenet_C46_L14',
    PC_DARTS_image: 'imagenet_C48_L14',
  }
  for (const name of Object.keys(publishedGenotypes) as PublishedName[]) {
    const entry = known.get(name)
    const { parameters } = await numbers(name)
    assert.equal(parameters, entry?.[`${elsewhere[name] ?? 'cifar10_C36_L20'}_params`], name)
  }
  const { imageSide, multiplyAdds } = await numbers('DDSAS_imagenet')
  assert.deepEqual([imageSide, multiplyAdds], [224, known.get('DDSAS_imagenet')?.imagenet_C46_L14_macs])
  const wide = await numbers('DDSAS_imagenet', '--channels', '48')
  assert.equal(wide.parameters, known.get('DDSAS_imagenet')?.imagenet_C48_L14_params)
  assert.equal(wide.parametersWithAuxiliary, known.get('DDSAS_imagenet')?.imagenet_C48_L14_params_with_aux)
  const small = await numbers('DDSAS_imagenet', '--network', 'cifar')
  assert.equal(small.parameters, known.get('DDSAS_imagenet')?.cifar10_C36_L20_params)
})

test('the text names the size and ends with the edges; JSON has both', async () => {
  const text = await describe('DDSAS_cifar100')
  assert.match(text, /^DDSAS_cifar100: cifar network, C = 36, 20 cells, 100 classes, 32 px$/m)
  assert.match(text, /\n\nnormal cell\n {2}node 0 = skip_connect\(c_\{k-2\}\) \+ sep_conv_3x3\(c_\{k-1\}\)\n/)
  assert.match(text, /\n\nreduction cell\n[\s\S]*concat\(node 0, node 1, node 2, node 3\)\n$/)
  const { network, genotype } = await numbers('PC_DARTS_image')
  assert.deepEqual(network, { kind: 'imagenet', channels: 48, cells: 14, classes: 1000 })
  assert.deepEqual(genotype, publishedGenotypes.PC_DARTS_image)
  assert.match(
    await describe('DARTS_V2', '--cells', '1', '--classes', '1'),
    /C = 36, 1 cell, 1 class, 32 px\n/,
  )
})
