/** A program as classes of PyTorch: one for each operation and kind of block, and the network. */
import { DdsasError } from '../errors.ts'
import { isZero, type Program, type State, statesFor } from '../nn/index.ts'
import { blockCalls } from './pytorch-blocks.ts'
import { classLines } from './pytorch-class-text.ts'
import { Classes } from './pytorch-classes.ts'
import { placesOf, sizesOf } from './pytorch-modules.ts'
import { type Item, networkForward, outputOf } from './pytorch-network-forward.ts'
import { hasWeights, Scope } from './pytorch-scope.ts'
import { namesIn, planStates } from './pytorch-states.ts'

/** What the class of the network is called. */
export const networkName = 'Network'

/**
 * The network that a Python file holds: all but what the auxiliary output alone needs, and zeros beside other terms.
 * @throws {DdsasError} `input` for a supernet.
 */
export function exportedPart(program: Program): Program {
  const { logits, auxiliary } = program.outputs
  const needed = statesFor(program, [logits])
  const training = auxiliary === undefined ? [] : statesFor(program, [auxiliary])
  const states = program.states.filter((state) => needed.includes(state) || !training.includes(state))
  return { ...program, states: states.map(withoutZeros), outputs: { logits } }
}

function withoutZeros(state: State): State {
  if (state.kind !== 'sum') return state
  if (state.terms.some(({ choice }) => choice !== undefined))
    throw new DdsasError(
      'input',
      `'${state.id}' belongs to a supernet, which cannot be exported: derive an architecture, and export its network`,
    )
  const some = state.terms.filter(({ layers }) => !isZero(layers) || layers.some(hasWeights))
  return { ...state, terms: some.length > 0 ? some : state.terms.slice(0, 1) }
}

/**
 * The classes of an exported part, the network's last, each as its lines. None has one of the names `taken`.
 * @throws {DdsasError} `input` for a layer or a name that PyTorch does not have.
 */
export function networkClasses(program: Program, taken: readonly string[]): string[][] {
  const { items, scope } = planned(program)
  const children = scope.children()
  const modules = placesOf(children).map(({ module }) => module)
  const classes = new Classes(modules, [...taken, networkName])
  const sizes = modules.map((module) => sizesOf(module).map(({ value }) => String(value)))
  const network = {
    name: networkName,
    base: 'nn.Module',
    docstring: 'Images [n, 3, h, w] -> logits [n, classes].',
    parameters: [],
    modules: classes.attributes(children, sizes),
    forward: networkForward(items, program.outputs.logits, scope),
  } as const
  return [...classes.texts, network].map(classLines)
}

/** What is computed one after the other, and the modules for it. */
function planned(program: Program): { readonly items: readonly Item[]; readonly scope: Scope } {
  const calls = blockCalls(program)
  const inBlocks = new Set(calls.map(({ block }) => block.name))
  const isLoose = ({ block }: State) => block === undefined || !inBlocks.has(block)
  const scope = new Scope([...namesIn(program.states.filter(isLoose)), ...inBlocks], '')
  const all = program.states.flatMap((state): Item[] => {
    if (isLoose(state)) return planStates(scope, [state])
    const call = calls.find(({ block }) => block.output === state.id)
    if (call === undefined) return []
    scope.add(call.block.name, call.module)
    return [call]
  })
  const needed = new Set(statesFor(program, [program.outputs.logits]).map(({ id }) => id))
  return { items: all.filter((item) => needed.has(outputOf(item))), scope }
}
