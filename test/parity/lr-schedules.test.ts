/** Learning rates of searches, epoch by epoch, against those that the published code ran with. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { carriedCosineLr, cosineLr } from '../../src/nn/index.ts'
import { searchPresets } from '../../src/search/presets.ts'
import { searchLr } from '../../src/search/schedule.ts'
import { skipWithout } from '../needs.ts'
import { fixtures, readJson } from './fixtures.ts'

const file = 'methods/lr-schedules.json'
const skip = skipWithout('shared', existsSync(join(fixtures, file)), `no golden values of ${file}`)

const rates = z.array(z.number())
const schedule = z.object({
  base_lr: z.number(),
  eta_min: z.number(),
  epochs: z.number(),
  lr_of_epoch: rates,
})
const schema = z.object({
  cosine: schedule,
  cosine_step_first: schedule,
  ddsas_imagenet_search: schedule.extend({ warmup_epochs: z.number(), closed_form_step_first: rates }),
})

function assertRates(wanted: readonly number[], rate: (epoch: number) => number): void {
  for (const [epoch, value] of wanted.entries())
    assert.ok(Math.abs(rate(epoch) - value) <= 1e-12, `epoch ${epoch}: ${rate(epoch)}, golden ${value}`)
}

test('learning rates of the published searches', { skip }, () => {
  const golden = schema.parse(readJson(file))
  const { cosine, cosine_step_first: first, ddsas_imagenet_search: imagenet } = golden
  assertRates(cosine.lr_of_epoch, (epoch) => cosineLr(epoch, cosine.epochs, cosine.base_lr, cosine.eta_min))
  assertRates(first.lr_of_epoch, (epoch) =>
    carriedCosineLr(epoch, first.epochs, first.base_lr, first.eta_min, 0),
  )
  const { epochs, base_lr: lr, eta_min: minLr, warmup_epochs: rising } = imagenet
  assertRates(imagenet.closed_form_step_first, (epoch) => carriedCosineLr(epoch, epochs, lr, minLr, 0))
  assertRates(imagenet.lr_of_epoch, (epoch) => carriedCosineLr(epoch, epochs, lr, minLr, rising))
  assertRates(imagenet.lr_of_epoch, (epoch) => searchLr(epoch, searchPresets.imagenet))
})
