/** Sequences of layers as modules of PyTorch: which module stands under which name, and how they are called. */
import { DdsasError } from '../errors.ts'
import { flatLayers, joinName, type NamedLayer, type Sequence } from '../nn/index.ts'
import { isName, quoted } from './python-text.ts'
import { ForwardWriter, type Step } from './pytorch-forward.ts'
import { identity, layerLine } from './pytorch-layers.ts'
import {
  type Children,
  type Container,
  isList,
  type Module,
  ownModule,
  ownSequential,
  type Wanted,
} from './pytorch-modules.ts'

/** Names of layers that are modules themselves, whole. */
export function modulesIn(layers: Sequence, prefix: string): string[] {
  return layers.flatMap((named) => {
    const whole = joinName(prefix, named.name)
    return [...(named.name !== '' || hasWeights(named) ? [whole] : []), ...modulesIn(inside(named), whole)]
  })
}

function inside({ layer }: NamedLayer): Sequence {
  return layer.type === 'concat' ? layer.branches.flat() : layer.type === 'gate' ? layer.layers : []
}

export function hasWeights({ layer }: NamedLayer): boolean {
  return layer.type === 'conv2d' || layer.type === 'batch_norm2d' || layer.type === 'linear'
}

/** Whether layers can be one module: none of several has the very name of that module. */
function canBeModule(layers: Sequence): boolean {
  const nameless = (list: Sequence): boolean =>
    list.some((named) => named.name === '' && (hasWeights(named) || nameless(inside(named))))
  return layers.length === 1 || !nameless(layers)
}

/** A sequence of layers as one module. */
function moduleOf(layers: Sequence, place: string): Module {
  if (layers.length === 0) return identity
  const [first] = layers
  if (layers.length === 1 && first.name === '') {
    const { module } = layerLine(first.layer, place)
    if (module) return module
  }
  if (layers.every(({ name }) => name === '')) {
    const modules = layers.map(({ layer }) => layerLine(layer, place).module)
    if (modules.every((module) => module !== undefined))
      return { kind: 'container', name: 'Sequential', children: numbered(modules) }
  }
  const scope = new Scope(modulesIn(layers, ''), place)
  const steps = scope.plan(layers, '')
  const children = scope.children()
  const inOrder = steps.every((step, index) => step.kind === 'module' && step.path === String(index))
  if (inOrder) return { kind: 'container', name: 'Sequential', children }
  const writer = new ForwardWriter((path) => scope.access(path), ['x'])
  writer.return(writer.through(steps, 'x', () => 'x'))
  return ownModule(children, { parameters: ['x'], statements: writer.statements })
}

function numbered(modules: readonly Module[]): Children {
  return modules.map((module, index) => [String(index), module])
}

/** Attributes of torch.nn.Module, and those that torch.nn.ModuleDict has besides: a module inside cannot have such a name. */
const reserved = {
  module: new Set(
    `add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval extra_repr float
    forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers
    named_children named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_module register_parameter register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu zero_grad`.split(
      /\s+/,
    ),
  ),
  dictionary: new Set(['clear', 'items', 'keys', 'pop', 'update', 'values']),
}

/** The modules of one owner, a class, by their paths below it. */
export class Scope {
  readonly #modules = new Map<string, Module>()
  #children: Children | undefined
  /** Of all layers that are modules, and of what they belong to. */
  readonly #names: ReadonlySet<string>
  readonly #place: string

  /** `names`: of all its layers that are modules; `place`: names it in errors. */
  constructor(names: Iterable<string>, place: string) {
    this.#names = new Set(names)
    this.#place = place
  }

  add(path: string, module: Module): Step {
    if (this.#modules.has(path)) this.#refuseTwo(path)
    this.#modules.set(path, module)
    this.#children = undefined
    return { kind: 'module', path }
  }

  /** Steps of layers that belong together: one module under `prefix` where they can be. */
  whole(layers: Sequence, prefix: string, wanted: readonly Wanted[]): Step[] {
    const own = [prefix, ...modulesIn(layers, prefix)]
    if (prefix === '' || this.#modules.has(prefix) || !canBeModule(layers) || !this.#holdsOnly(prefix, own))
      return this.plan(layers, prefix)
    const module = moduleOf(layers, joinName(this.#place, prefix))
    const sequential = module.kind === 'container' ? ownSequential(module.children) : module
    return [this.add(prefix, { ...sequential, wanted })]
  }

  /** Steps of layers whose names are below `prefix`: neighbours that share a name become a module of that name. */
  plan(layers: Sequence, prefix: string): Step[] {
    const steps: Step[] = []
    for (let rest = layers; rest.length > 0; ) {
      const [component] = rest[0].name.split('.')
      const end = rest.findIndex(({ name }) => name.split('.')[0] !== component)
      const run = component === '' ? rest.slice(0, 1) : rest.slice(0, end < 0 ? rest.length : end)
      if (beginsWithMean(rest)) {
        steps.push({ kind: 'call', call: (x) => `${x}.mean((2, 3))` })
        rest = rest.slice(2)
      } else {
        steps.push(...(component === '' ? this.#nameless(run[0], prefix) : this.#run(run, component, prefix)))
        rest = rest.slice(run.length)
      }
    }
    return steps
  }

  #run(run: Sequence, component: string, prefix: string): Step[] {
    const path = joinName(prefix, component)
    const stripped = run.map(({ name, layer }) => ({ name: name.slice(component.length + 1), layer }))
    if (!canBeModule(stripped) || !this.#holdsOnly(path, [path, ...modulesIn(stripped, path)]))
      return this.plan(stripped, path)
    const wanted = [{ text: component, rank: 3 }]
    return [this.add(path, { ...moduleOf(stripped, joinName(this.#place, path)), wanted })]
  }

  #nameless(named: NamedLayer, prefix: string): Step[] {
    const { layer } = named
    if (layer.type === 'concat')
      return [{ kind: 'concat', branches: layer.branches.map((branch) => this.plan(branch, prefix)) }]
    if (layer.type === 'gate') {
      const vector = flatLayers(layer.layers, '').some((inner) => inner.layer.type === 'flatten')
      return [{ kind: 'gate', scale: this.plan(layer.layers, prefix), vector }]
    }
    const { module, call } = layerLine(layer, joinName(this.#place, prefix))
    if (call) return [{ kind: 'call', call }]
    return module ? [this.add(prefix, module)] : []
  }

  /** Whether no other layer's name begins with `path`. */
  #holdsOnly(path: string, own: readonly string[]): boolean {
    return [...this.#names].every((name) => !`${name}.`.startsWith(`${path}.`) || own.includes(name))
  }

  /** All modules, those with a common first name in a container. */
  children(): Children {
    this.#children ??= this.#nested(
      [...this.#modules].map(([path, module]) => [path.split('.'), module]),
      false,
    )
    return this.#children
  }

  #nested(
    modules: readonly (readonly [path: readonly string[], module: Module])[],
    isInside: boolean,
  ): Children {
    const names = [...new Set(modules.map(([[name]]) => name))]
    return names.map((name) => {
      const below = modules.filter(([path]) => path[0] === name)
      this.#checkName(name, isInside)
      if (below.length > 1 && below.some(([path]) => path.length === 1)) this.#refuseTwo(name)
      const [[path, module]] = below
      if (path.length === 1) return [name, module]
      return [
        name,
        container(
          this.#nested(
            below.map(([whole, inner]) => [whole.slice(1), inner]),
            true,
          ),
        ),
      ]
    })
  }

  #checkName(name: string, isInside: boolean): void {
    if (name === '' || reserved.module.has(name) || (isInside && reserved.dictionary.has(name)))
      throw new DdsasError(
        'input',
        `a module '${name}' of ${this.#owner()} cannot be: PyTorch has another use for that name; choose another one`,
      )
  }

  #refuseTwo(path: string): never {
    throw new DdsasError(
      'input',
      `there would be two modules '${path}' of ${this.#owner()}, or one that has weights and holds others; name them apart`,
    )
  }

  #owner(): string {
    return this.#place === '' ? 'the network' : this.#place
  }

  /** The expression of the module at a path. */
  access(path: string): string {
    const [first, ...more] = path.split('.')
    let module = childOf(this.children(), first)
    let expression = isName(first) ? `self.${first}` : `self.get_submodule(${quoted(first)})`
    for (const name of more) {
      if (!isList(module)) throw new Error(`no module ${path}`)
      expression += module.name === 'ModuleList' ? `[${name}]` : `[${quoted(name)}]`
      module = childOf(module.children, name)
    }
    return expression
  }

  /** How many modules the list has in which one stands. */
  listLength(path: string): number {
    const names = path.split('.').slice(0, -1)
    const [first, ...more] = names
    const list = more.reduce(
      (module, name) => (isList(module) ? childOf(module.children, name) : module),
      childOf(this.children(), first),
    )
    return isList(list) ? list.children.length : 0
  }
}

function childOf(children: Children, name: string): Module {
  const found = children.find(([child]) => child === name)
  if (found === undefined) throw new Error(`no module ${name}`)
  return found[1]
}

/** A list where names are numbers from 0 on. */
function container(children: Children): Container {
  const sorted = [...children].sort(([a], [b]) => Number(a) - Number(b))
  if (sorted.every(([name], index) => name === String(index)))
    return { kind: 'container', name: 'ModuleList', children: sorted }
  return { kind: 'container', name: 'ModuleDict', children }
}

/** A mean over all pixels that leaves vectors. */
function beginsWithMean([first, second]: Sequence): boolean {
  const nameless = first.name === '' && second?.name === ''
  return nameless && first.layer.type === 'global_avg_pool2d' && second.layer.type === 'flatten'
}
