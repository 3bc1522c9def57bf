/** Which device is meant by what a user asks for, with as many GPUs as a test likes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseDevice, describeEngine, devicePattern, resolveDevice } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

const gpus = (count: number) => Array.from({ length: count }, (_, index) => `cuda:${index}`)
const choose = (wanted: string, count: number) => chooseDevice(wanted, gpus(count), '2.4.0')

test('auto and cuda mean the first GPU, cuda:N that of its number', () => {
  assert.deepEqual(
    ['auto', 'cpu', 'cuda', 'cuda:0', 'cuda:2'].map((wanted) => choose(wanted, 3)),
    ['cuda:0', 'cpu', 'cuda:0', 'cuda:0', 'cuda:2'],
  )
  assert.deepEqual([choose('auto', 0), choose('cpu', 0)], ['cpu', 'cpu'])
})

test('a device that there is not is refused with how many there are', () => {
  const refuses = (wanted: string, count: number, pattern: RegExp) =>
    assertRefuses(() => choose(wanted, count), 'device', pattern)
  for (const wanted of ['cuda', 'cuda:0', 'cuda:1'])
    refuses(wanted, 0, /^libtorch 2\.4\.0 sees no CUDA device; use --device cpu, or see: npx ddsas doctor$/)
  refuses('cuda:1', 1, /^there is no cuda:1: libtorch 2\.4\.0 sees 1 CUDA device, cuda:0$/)
  refuses('cuda:2', 2, /^there is no cuda:2: libtorch 2\.4\.0 sees 2 CUDA devices, cuda:0, cuda:1$/)
})

test('anything else is no name of a device', () => {
  for (const wanted of [
    'tpu',
    '',
    'CUDA',
    'cuda:',
    'cuda:-1',
    'cuda:01',
    'cuda:1 ',
    'cuda:1000',
    'cpu:0',
    'cuda:1\n',
  ]) {
    assert.ok(!devicePattern.test(wanted), JSON.stringify(wanted))
    assertRefuses(() => choose(wanted, 9), 'device', /auto, cpu, cuda or cuda:N is wanted$/)
  }
})

test('here', () => {
  assert.equal(resolveDevice('cpu'), 'cpu')
  const absent = `cuda:${describeEngine().cuda.length}`
  assertRefuses(() => resolveDevice(absent), 'device', /sees (?:no|\d+) CUDA device/)
})
