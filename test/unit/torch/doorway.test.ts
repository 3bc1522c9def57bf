/** The doorway: whatever JavaScript asks of the addon, the process goes on; gradients left to kernels are right and freed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Sgd } from '../../../src/nn/index.ts'
import {
  call,
  channelsLast,
  detach,
  factorizedReduce,
  Generator,
  grad,
  liveSlots,
  mix,
  setRequiresGrad,
  setThreads,
  sum,
  type Tensor,
  tensorMemory,
  tidy,
} from '../../../src/torch/index.ts'
import { randomTensor } from '../spaces/numerical.ts'
import { chain } from './chain.ts'

const addon = process.env.DDSAS_ADDON ?? join(import.meta.dirname, '../../../build/Release/ddsas.node')

test('arguments of any kind end in an error or a value, for every function, and never the process', () => {
  // each value for each argument; in a process of its own, as the old addon aborted it
  const code = `
    const addon = require(process.argv[1])
    const values = [undefined, null, true, -1, 0, 0.5, 1e9, NaN, 2 ** 40, '', 'cuda:7', 'aten::nothing', [], [-1], [1e9],
      ['x'], [[]], {}, new Uint8Array(3), () => {}, Symbol('s'), 10n]
    let errors = 0
    for (const name of Object.keys(addon))
      for (const first of values)
        for (const second of values) {
          // threads by the thousand are allowed, and would take the machine
          if (name === 'setThreads' && typeof first === 'number' && first > 4) continue
          if (name === 'setThreads' && first === 2 ** 40) continue
          try { addon[name](first, second, [2 ** 31, 2 ** 31]) } catch (error) {
            if (!(error instanceof Error)) throw new Error(name + ' threw ' + String(error))
            errors += 1
          }
        }
    console.log(JSON.stringify({ functions: Object.keys(addon).length, errors }))
  `
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['-e', code, addon], {
    encoding: 'utf8',
    timeout: 600_000,
  })
  assert.deepEqual([status, signal], [0, null], stderr)
  const { functions, errors } = JSON.parse(stdout)
  assert.ok(functions > 20 && errors > 1000, stdout)
})

test('calls that C++ refuses are errors in one line', () => {
  assert.throws(() => setThreads(0), { name: 'DdsasError', message: /setThreads: 0 threads; at least 1/ })
  const native: Record<string, (...args: unknown[]) => unknown> = createRequire(import.meta.url)(addon)
  assert.throws(() => native.call(999_999, []), /call: /)
  assert.throws(() => native.memory('nonsense'), /memory: /)
  const zeros = native.operator('aten::zeros')
  for (const dtype of [-1, 1000, 2 ** 40]) {
    assert.throws(() => native.fromBytes(new Uint8Array(8), dtype, [2]), /fromBytes: .*a dtype/)
    assert.throws(() => native.call(zeros, [[2], dtype]), /aten::zeros.*a dtype/)
  }
  assert.throws(() => native.call(zeros, [[2], 6, -1]), /aten::zeros.*a layout/)
})

test('a second thread of JavaScript is refused while the first has the engine', async () => {
  liveSlots()
  const code =
    "try { require(require('worker_threads').workerData); throw 0 } catch (e) { require('worker_threads').parentPort.postMessage(String(e.message)) }"
  const worker = new Worker(code, { eval: true, workerData: addon })
  const message = await new Promise((resolve, reject) =>
    worker.once('message', resolve).once('error', reject),
  )
  assert.match(String(message), /another thread of this process uses it/)
  await worker.terminate()
})

test('a gradient that is left to a kernel is refused to who asks for it in between, and leaves nothing behind', () => {
  const run = () =>
    tidy(() => {
      const { x, first, node } = chain(new Generator(3))
      const loss = sum(call('aten::mul.Tensor', node, node))
      assert.throws(() => grad(loss, [first]), /input 0 lies between two kernels/)
      assert.ok(grad(loss, [x])[0])
    })
  run()
  const before = [liveSlots(), tensorMemory().live]
  for (let i = 0; i < 5; i++) run()
  assert.deepEqual([liveSlots(), tensorMemory().live], before)
})

test('a backward pass that is never ended, or fails midway, frees all it held', () => {
  const run = (fail: boolean) =>
    tidy(() => {
      const { weights, node, first } = chain(new Generator(4))
      // only what lies after `first` is computed where the weights of the node's own side alone are asked for
      const other = mix([{ x: first }], null, [undefined], { training: true })
      const loss = sum(call('aten::mul.Tensor', node, other))
      if (!fail) return void grad(loss, weights)
      new Sgd(new Map([['w', weights[1]]]), { momentum: 0, weightDecay: 0 }).step([detach(weights[1])], 0.1)
      assert.throws(() => grad(loss, weights), /modified by an inplace operation/)
    })
  for (const fail of [true, false]) run(fail)
  const before = tensorMemory().live
  for (let i = 0; i < 5; i++) for (const fail of [true, false]) run(fail)
  // velocities of the failed passes' optimizers are kept: 8 x 8 floats each
  assert.ok(tensorMemory().live - before <= 5 * 4096, `${tensorMemory().live - before} bytes more`)
})

test('factorized_reduce computes the gradient of the second weight where the first needs none', () => {
  tidy(() => {
    const generator = new Generator(6)
    const x = channelsLast(randomTensor([2, 8, 6, 6], generator, 'float32'))
    const [first, second] = [0, 1].map(() => randomTensor([4, 8, 1, 1], generator, 'float32'))
    const gradient = (wanted: readonly Tensor[]) => {
      setRequiresGrad(wanted, true)
      const found = grad(sum(factorizedReduce([x], first, second).x), wanted)
      setRequiresGrad(wanted, false)
      return found.at(-1)?.bytes()
    }
    assert.deepEqual(gradient([second]), gradient([first, second]))
  })
})
