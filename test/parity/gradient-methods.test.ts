/** SNAS against the published code: the temperature of each epoch. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { snasTemperature } from '../../src/strategies/snas.ts'
import { absent, readJson } from './fixtures.ts'

test('SNAS: the temperature of each epoch', { skip: absent }, () => {
  const schema = z.object({
    temp: z.number(),
    temp_min: z.number(),
    epochs: z.number(),
    temperature_of_epoch: z.array(z.number()),
  })
  const golden = schema.parse(readJson('methods/snas-temperature.json'))
  assert.equal(golden.temperature_of_epoch.length, golden.epochs)
  const how = { tau: golden.temp, minTau: golden.temp_min }
  for (const [epoch, wanted] of golden.temperature_of_epoch.entries())
    assert.ok(Math.abs(snasTemperature(how, epoch, golden.epochs) - wanted) < 1e-12)
})
