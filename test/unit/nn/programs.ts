/** Tiny programs around what is tested alone: layers, an operation as the only term of a sum, a cell with inputs of its own. */
import assert from 'node:assert/strict'
import {
  images,
  type Layer,
  type Program,
  type Sequence,
  type State,
  type StateId,
  type Term,
} from '../../../src/nn/index.ts'
import { slice, type Tensor } from '../../../src/torch/index.ts'

/** States whose last one is the output; weights have their layers' names. */
export function programOf(states: readonly State[]): Program {
  const last = states.at(-1) ?? assert.fail('a program of no states')
  return { states, blocks: [], outputs: { logits: last.id }, modules: [] }
}

/** images -> layers. */
export function sequenceProgram(layers: Sequence): Program {
  return programOf([{ id: 'out', kind: 'layers', input: images, name: '', layers }])
}

/** A term without a choice. */
export function termOf(layers: Sequence, input: StateId = images, name = ''): Term {
  return { input, name, layers, operation: name }
}

/** images -> operation, as it runs in a network: the only term of a sum. */
export function operationProgram(layers: Sequence): Program {
  return programOf([{ id: 'out', kind: 'sum', terms: [termOf(layers)] }])
}

/** A state that is what `make` makes of the images: a part of them, or something else. */
export function madeState(id: StateId, make: (x: Tensor) => Tensor): State {
  const layer: Layer = {
    type: 'opaque',
    name: id,
    make: () => ({ forward: make }),
    outputShape: (shape) => shape,
  }
  return { id, kind: 'layers', input: images, name: id, layers: [{ name: '', layer }] }
}

/** The channels of the images in parts of so many, concatenated as `id`. */
export function partsOfImages(id: StateId, channels: readonly number[]): State[] {
  const starts = channels.map((_, index) => channels.slice(0, index).reduce((sum, count) => sum + count, 0))
  const parts = channels.map((count, index) =>
    madeState(`${id}.${index}`, (x) => slice(x, 1, starts[index], starts[index] + count)),
  )
  return [...parts, { id, kind: 'concat', inputs: parts.map((part) => part.id) }]
}

/** A tensor of the caller's as the concatenation `id` of its parts: it stays the caller's. */
function given(id: StateId, parts: readonly Tensor[]): State[] {
  const states = parts.map((part, index) => madeState(`${id}.${index}`, () => part))
  return [...states, { id, kind: 'concat', inputs: states.map((state) => state.id) }]
}

/** One cell of a network; its two inputs are concatenations of tensors of the caller's, whatever the images are. */
export function cellProgram(
  program: Program,
  block: string,
  inputs: readonly [readonly Tensor[], readonly Tensor[]],
): Program {
  const own = program.states.filter((state) => state.block === block)
  const states = own.map((state, index): State => {
    if (index >= inputs.length) return state
    assert.equal(state.kind, 'layers')
    return { ...state, input: `s${index}` }
  })
  return programOf([...inputs.flatMap((parts, index) => given(`s${index}`, parts)), ...states])
}
