/** Random and central boxes: within the image, within the bounds asked for, and as torchvision places them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  centreBox,
  drawImage,
  type ImageDraw,
  imagenetEvaluation,
  imagenetTraining,
  noDraw,
  randomBox,
} from '../../../src/data/image-transform.ts'
import { Generator } from '../../../src/torch/index.ts'
import { failsWith } from './files.ts'

const side = fc.integer({ min: 1, max: 5000 })

test('a random box lies inside any image and is of whole pixels', () => {
  fc.assert(
    fc.property(side, side, fc.integer(), (width, height, seed) => {
      const draw = drawImage(imagenetTraining, new Generator(seed))
      const box = randomBox({ width, height }, draw, imagenetTraining)
      assert.ok([box.left, box.top, box.width, box.height].every(Number.isInteger))
      assert.ok(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0)
      assert.ok(box.left + box.width <= width && box.top + box.height <= height)
    }),
  )
})

test('over many draws the area and the ratio fill their bounds', () => {
  const generator = new Generator(5)
  const image = { width: 500, height: 375 }
  const boxes = Array.from({ length: 4000 }, () =>
    randomBox(image, drawImage(imagenetTraining, generator), imagenetTraining),
  )
  const shares = boxes.map(({ width, height }) => (width * height) / (500 * 375))
  const ratios = boxes.map(({ width, height }) => width / height)
  assert.ok(Math.min(...shares) < 0.09 && Math.min(...shares) > 0.078)
  assert.ok(Math.max(...shares) > 0.97 && Math.max(...shares) <= 1)
  assert.ok(Math.min(...ratios) < 0.76 && Math.min(...ratios) > 0.73)
  assert.ok(Math.max(...ratios) > 1.32 && Math.max(...ratios) < 1.36)
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length
  // the middle of a crop is uniform over where it fits, so the mean middle is the image's
  assert.ok(Math.abs(mean(boxes.map(({ left, width }) => left + width / 2)) - 250) < 5)
  assert.ok(Math.abs(mean(boxes.map(({ top, height }) => top + height / 2)) - 187.5) < 4)
})

test('the first attempt that fits is taken, computed as torchvision does', () => {
  // area 0.5: 250 x 375 x ... ; ratio exp(0) = 1
  const middle = [0.5, 0.5]
  const draw: ImageDraw = { ...noDraw, crop: [...Array(10).fill(middle).flat(), 0.25, 0.75] }
  const area = 500 * 375 * (0.08 + 0.92 * 0.5)
  const expected = Math.round(Math.sqrt(area))
  assert.deepEqual(randomBox({ width: 500, height: 375 }, draw, imagenetTraining), {
    left: Math.floor(0.75 * (500 - expected + 1)),
    top: Math.floor(0.25 * (375 - expected + 1)),
    width: expected,
    height: expected,
  })
})

test('an image too narrow for any attempt gives its largest central crop', () => {
  const draw: ImageDraw = { ...noDraw, crop: Array(22).fill(0.999) }
  const box = (width: number, height: number) => randomBox({ width, height }, draw, imagenetTraining)
  assert.deepEqual(box(90, 1000), { left: 0, top: 440, width: 90, height: 120 })
  assert.deepEqual(box(1001, 90), { left: 440, top: 0, width: 120, height: 90 })
  assert.deepEqual(box(1, 400), { left: 0, top: 199, width: 1, height: 1 })
})

test('how much is drawn does not depend on what is drawn', () => {
  const generator = new Generator(9)
  const { order, factors, crop } = drawImage(imagenetTraining, generator)
  assert.deepEqual([...order].sort(), [0, 1, 2, 3])
  assert.equal(crop.length, 22)
  const [brightness, contrast, saturation, hue] = factors
  for (const factor of [brightness, contrast, saturation]) assert.ok(factor >= 0.6 && factor <= 1.4)
  assert.ok(Math.abs(hue) <= 0.2)
  const plain = drawImage({ ...imagenetTraining, jitter: undefined, flip: false }, generator)
  assert.deepEqual([plain.order, plain.factors, plain.flip], [[-1, -1, -1, -1], [1, 1, 1, 0], false])
})

test('half the images are mirrored and each order of the jitter is as likely', () => {
  const generator = new Generator(11)
  const draws = Array.from({ length: 4800 }, () => drawImage(imagenetTraining, generator))
  assert.ok(Math.abs(draws.filter(({ flip }) => flip).length - 2400) < 150)
  const orders = new Map<string, number>()
  for (const { order } of draws) orders.set(order.join(), (orders.get(order.join()) ?? 0) + 1)
  assert.equal(orders.size, 24)
  for (const count of orders.values()) assert.ok(count > 140 && count < 260, `${count} of 200`)
})

test('the centre: shorter side 256, then 224 from the middle', () => {
  // torchvision: 500 x 375 -> 341 x 256 (int(256 * 500 / 375)), left round(58.5) = 58, top 16
  const { left, top, width, height } = centreBox({ width: 500, height: 375 }, imagenetEvaluation)
  const [across, down] = [500 / 341, 375 / 256]
  const close = (found: number, expected: number) => assert.ok(Math.abs(found - expected) < 1e-9)
  close(left, 58 * across)
  close(width, 224 * across)
  close(top, 16 * down)
  close(height, 224 * down)
})

test('the centre lies inside any image', () => {
  fc.assert(
    fc.property(side, side, (width, height) => {
      const box = centreBox({ width, height }, imagenetEvaluation)
      assert.ok(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0)
      assert.ok(box.left + box.width <= width + 1e-9 && box.top + box.height <= height + 1e-9)
    }),
  )
})

test('a centre larger than what it is cut from is refused', () => {
  assert.throws(
    () => centreBox({ width: 9, height: 9 }, { ...imagenetEvaluation, size: 300 }),
    failsWith('input', /300 px .* 256 px/),
  )
})
