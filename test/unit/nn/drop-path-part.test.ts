/** Drop-path of a part of a batch: the masks that its images have in the whole batch. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawDrops } from '../../../src/nn/drop-path.ts'
import { Generator, Tensor, tidy } from '../../../src/torch/index.ts'

test('each part has its images’ masks of the whole batch, and draws as much', () => {
  tidy(() => {
    const images = (count: number) => Tensor.from(new Float32Array(count), [count, 1, 1, 1])
    const droppable = [true, false, true]
    const generator = new Generator(1, 'drop-path')
    const whole = drawDrops({ rate: 0.4, generator }, droppable, images(5))(3).matrix()
    const parts = [
      { start: 0, count: 2 },
      { start: 2, count: 3 },
    ].map(({ start, count }) => {
      const own = new Generator(1, 'drop-path')
      const place = { start, total: 5 }
      const masks = drawDrops({ rate: 0.4, generator: own, place }, droppable, images(count))(3).matrix()
      assert.deepEqual(own.state(), generator.state())
      return masks
    })
    assert.deepEqual(
      parts[0].map((row, edge) => [...row, ...parts[1][edge]]),
      whole,
    )
    assert.ok(whole[0].includes(0) || whole[2].includes(0))
  })
})
