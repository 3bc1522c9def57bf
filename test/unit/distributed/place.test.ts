/** Which process of a run the environment says this one is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placeFrom } from '../../../src/distributed/place.ts'

test('torchrun says all of it', () => {
  const env = {
    RANK: '3',
    WORLD_SIZE: '4',
    LOCAL_RANK: '1',
    LOCAL_WORLD_SIZE: '2',
    MASTER_ADDR: 'node0',
    MASTER_PORT: '1234',
  }
  const place = { rank: 3, world: 4, localRank: 1, localWorld: 2, host: 'node0', port: 1234 }
  assert.deepEqual(placeFrom(env), place)
  const { MASTER_PORT: _, LOCAL_RANK: __, LOCAL_WORLD_SIZE: ___, ...least } = env
  assert.deepEqual(placeFrom(least), { ...place, localRank: 0, localWorld: 1, port: 29_500 })
})

test('srun says it of its steps, not of the batch script around them', () => {
  const script = { SLURM_PROCID: '0', SLURM_NTASKS: '8' }
  assert.equal(placeFrom(script), undefined)
  const step = {
    ...script,
    SLURM_STEP_ID: '0',
    SLURM_STEP_NUM_TASKS: '8',
    SLURM_PROCID: '5',
    SLURM_LOCALID: '1',
    SLURM_STEP_NODELIST: 'gpu[03-05,9],login',
  }
  const place = { rank: 5, world: 8, localRank: 1, localWorld: 1, host: 'gpu03', port: 29_500 }
  assert.deepEqual(placeFrom(step), place)
  assert.equal(placeFrom({ ...step, SLURM_STEP_NODELIST: 'one,two' })?.host, 'one')
  assert.equal(placeFrom({ ...step, MASTER_ADDR: '10.0.0.1' })?.host, '10.0.0.1')
})

test('Open MPI says it too', () => {
  const env = {
    OMPI_COMM_WORLD_RANK: '1',
    OMPI_COMM_WORLD_SIZE: '2',
    OMPI_COMM_WORLD_LOCAL_RANK: '1',
    OMPI_COMM_WORLD_LOCAL_SIZE: '2',
    MASTER_ADDR: 'a',
  }
  assert.deepEqual(placeFrom(env), {
    rank: 1,
    world: 2,
    localRank: 1,
    localWorld: 2,
    host: 'a',
    port: 29_500,
  })
})

test('one process is alone, whoever started it', () => {
  assert.equal(placeFrom({}), undefined)
  assert.equal(placeFrom({ RANK: '0', WORLD_SIZE: '1' }), undefined)
})

test('what contradicts itself is refused by its name', () => {
  const refusals = [
    [{ RANK: '0' }, /RANK is set and WORLD_SIZE is not/],
    [{ RANK: '2', WORLD_SIZE: '2', MASTER_ADDR: 'a' }, /RANK=2: a whole number from 0 to 1/],
    [{ RANK: 'x', WORLD_SIZE: '2', MASTER_ADDR: 'a' }, /RANK=x/],
    [{ RANK: '0', WORLD_SIZE: '0' }, /WORLD_SIZE=0/],
    [{ RANK: '0', WORLD_SIZE: '2' }, /MASTER_ADDR is not set/],
    [{ RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: 'a', MASTER_PORT: '70000' }, /MASTER_PORT=70000/],
    [{ SLURM_STEP_ID: '0', SLURM_NTASKS: '2' }, /SLURM_PROCID is not/],
  ] as const
  for (const [env, message] of refusals) assert.throws(() => placeFrom(env), { kind: 'input', message })
})
