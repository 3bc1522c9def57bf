/** Every setting says what it means and in which unit; ranges as text; the JSON Schema of files of settings. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { describeSettings, settingsJsonSchema } from '../../../src/loop/describe-settings.ts'
import { flatten } from '../../../src/loop/settings.ts'
import { trainConfigSchema } from '../../../src/retrain/config.ts'
import { trainPresets } from '../../../src/retrain/presets.ts'
import { searchConfigSchema } from '../../../src/search/config.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { type AnyStrategy, strategies } from '../../../src/strategies/index.ts'

const all = [
  { name: 'search', schema: searchConfigSchema(), presets: searchPresets },
  { name: 'train', schema: trainConfigSchema, presets: trainPresets },
] as const

/** Numbers that no preset has: null stands for none, or for another that is known. */
const nullable =
  /^(data\.(mean|std)|archOptimizer\.gradClip|limits\.(parameters|multiplyAdds|latency|network\.(channels|cells|classes|imageSize)))$/

/** Whether a value is a number, or holds one: then it has a unit. */
const isNumeric = (value: unknown): boolean =>
  typeof value === 'number' || (Array.isArray(value) && value.some(isNumeric))

for (const { name, schema, presets } of all)
  test(`every setting of ${name} has a meaning, a range, and a unit where it is a number`, () => {
    const settings = describeSettings(schema)
    const values = flatten(presets.cifar10)
    const keys = settings.map(({ key }) => key)
    const others = keys.filter((key) => !values.has(key))
    assert.deepEqual([...keys].sort(), [...values.keys(), ...others].sort())
    // of strategies that the preset has not
    const theirs = new Map(
      Object.values<AnyStrategy>(strategies).flatMap(({ defaults }) => [...flatten(defaults(dartsSpace))]),
    )
    for (const key of others) assert.ok(theirs.has(key), key)
    for (const { key, meaning, unit, range } of settings) {
      assert.match(meaning, /^\S.{3,}\S$/, `${key} has no description`)
      assert.doesNotMatch(meaning, /\n|\.$/, key)
      assert.notEqual(range, '', key)
      const value = values.get(key) ?? theirs.get(key)
      const numeric = isNumeric(value) || nullable.test(key)
      assert.equal(
        unit !== '',
        numeric,
        `${key} has ${numeric ? 'no unit' : `the unit ${unit}, but is no number`}`,
      )
    }
  })

test('a setting without a description is found', () => {
  const [found] = describeSettings(z.strictObject({ a: z.strictObject({ b: z.int() }) }))
  assert.deepEqual([found.key, found.meaning, found.unit], ['a.b', '', ''])
})

test('ranges', () => {
  const cases: readonly (readonly [z.ZodType, string])[] = [
    [z.int().positive(), '>=1'],
    [z.int().nonnegative().max(1024), '0 … 1024'],
    [z.int().positive().multipleOf(2).max(8), '2 … 8, by 2'],
    [z.number().positive(), '>0'],
    [z.number().positive().max(1), '>0 … 1'],
    [z.number().min(0).lt(1), '0 … <1'],
    [z.boolean(), 'true | false'],
    [z.enum(['a', 'b']), 'a | b'],
    [z.literal('a'), 'a'],
    [z.tuple([z.number().min(0).max(1), z.number().min(0).max(1)]).nullable(), '2 x 0 … 1 | null'],
    [z.tuple([z.number().nonnegative(), z.number().positive()]), '[>=0, >0]'],
    [z.array(z.int()), 'list'],
    [z.string().meta({ examples: ['a', 'b 1'] }), 'a | b 1'],
    [z.string(), 'string'],
  ]
  for (const [schema, wanted] of cases)
    assert.equal(describeSettings(z.strictObject({ key: schema }))[0].range, wanted)
})

for (const { name, schema, presets } of all)
  test(`the JSON Schema of ${name} takes every preset and any part of it, and nothing else`, () => {
    const written = z.json().parse(settingsJsonSchema(schema, 'settings'))
    const own = z.fromJSONSchema(z.looseObject({}).parse(written))
    const takes = (value: unknown) => own.safeParse(value).success
    for (const preset of Object.values(presets)) assert.ok(takes(JSON.parse(JSON.stringify(preset))))
    assert.ok(takes({}))
    assert.ok(takes({ seed: 3, data: { batch: 8 }, weightOptimizer: {} }))
    for (const bad of [
      { sed: 3 },
      { data: { batches: 8 } },
      { seed: -1 },
      { device: 'tpu' },
      { data: 3 },
      [],
    ])
      assert.ok(!takes(bad), JSON.stringify(bad))
  })

test('the JSON Schema tells what a program cannot guess', () => {
  const search = JSON.stringify(settingsJsonSchema(searchConfigSchema(), 'settings of ddsas search'))
  assert.match(search, /"title":"settings of ddsas search"/)
  assert.match(search, /"lr":\{[^}]*"description":"learning rate/)
  assert.match(search, /"padding":\{[^}]*"unit":"px"/)
  // a change of the space is whole or not at all
  assert.match(search, /"required":\["kind","count"\]/)
})
