/** Stands between the operators and the addon: a test sees the arguments of some, and may answer in their place. */
import assert from 'node:assert/strict'
import { Tensor } from '../../src/torch/index.ts'
import { type NativeValue, native } from '../../src/torch/native.ts'

export type Arguments = readonly NativeValue[]
/** Stands in for an operator; undefined: it shall run as ever. */
export type Handler = (operator: string, args: Arguments) => NativeValue

interface Watch {
  readonly operators: RegExp
  readonly by: Handler
}

const addon = native()
const { call: callAddon, operator: findOperator } = addon
const names = new Map<number, string>()
let watch: Watch | undefined

addon.operator = (name) => {
  const id = findOperator(name)
  names.set(id, name)
  return id
}
addon.call = (id, args) => {
  const name = names.get(id) ?? ''
  const current = watch
  if (!current?.operators.test(name)) return callAddon(id, args)
  // what a handler computes itself is not watched
  watch = undefined
  try {
    return current.by(name, args) ?? callAddon(id, args)
  } finally {
    watch = current
  }
}

/** Runs `body` with the operators of these names given to a handler first. */
export function intercept(operators: RegExp, by: Handler, body: () => void): void {
  watch = { operators, by }
  try {
    body()
  } finally {
    watch = undefined
  }
}

const alias = addon.operator('aten::alias')

/** A tensor that came as an argument, under a slot of its own. */
export function given(value: NativeValue): Tensor {
  const slot = callAddon(alias, [value])
  assert.ok(typeof slot === 'number')
  return new Tensor(slot)
}
