/** A program with its weights: a network, or a supernet of which the sampled part runs. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { type Tensor, tidy } from '../torch/index.ts'
import { type Compiled, compile } from './compile.ts'
import { type DropoutPass, dropsOf } from './dropout.ts'
import { concatenationsApart, type Pass, type Prepared, Run } from './executor.ts'
import { fuse, fuseNothing } from './fuse.ts'
import { makeWeights } from './layer-weights.ts'
import { checkInitContext, type InitContext, type Module } from './module.ts'
import { inPrecision, type Precision, precisions } from './precision.ts'
import {
  checkProgram,
  lookUp,
  type Program,
  type State,
  type StateId,
  statesFor,
  type Term,
} from './program.ts'
import type { Synchronised } from './synchronised-norm.ts'

export interface NetworkOptions {
  /** Element type of images between the layers; weights and statistics are float32 in any case. */
  readonly precision?: Precision | undefined
  /** Every layer by ATen, by itself: the oracle of the kernels, and the yardstick of benchmarks. */
  readonly plain?: boolean
  /** Batch norms go by the images of all processes that share a batch; every layer is then ATen's, by itself. */
  readonly synchronised?: boolean | undefined
}

const optionsSchema = z.object({
  precision: z.enum(precisions).optional(),
  plain: z.boolean().optional(),
  synchronised: z.boolean().optional(),
})

/** [n, classes] each. */
export interface Outputs {
  readonly logits: Tensor
  /** Of the auxiliary head, where it was asked for and there is one. */
  readonly auxiliary?: Tensor
}

export class Network implements Module {
  readonly program: Program
  readonly parameters: Readonly<Record<string, Tensor>>
  readonly buffers: Readonly<Record<string, Tensor>>
  readonly #compiled = new Map<State | Term, Compiled>()
  /** By how many outputs are wanted: the logits alone, or those of the auxiliary head too. */
  readonly #prepared = new Map<number, Prepared>()
  readonly #options: NetworkOptions
  readonly #plain: boolean
  readonly #synchronised: Synchronised | undefined
  readonly #dropout: DropoutPass = { now: undefined }

  /**
   * Draws all weights from the context's generator with PyTorch's default distributions.
   * @throws {DdsasError} `input` for a program that cannot run.
   */
  constructor(program: Program, context: InitContext, options: NetworkOptions = {}) {
    checkInitContext(context, 'Network')
    checkProgram(program, 'Network')
    checkGiven(optionsSchema, options, 'Network', 'options')
    const weights = makeWeights(program, context)
    this.program = program
    this.parameters = Object.fromEntries(weights.parameters)
    this.buffers = Object.fromEntries(weights.buffers)
    this.#options = options
    this.#synchronised = options.synchronised ? { part: undefined } : undefined
    this.#plain = options.plain === true || this.#synchronised !== undefined
    const fused = this.#plain ? fuseNothing(program) : fuse(program)
    for (const [owner, found] of fused) {
      this.#compiled.set(
        owner,
        compile(found, { ...weights, synchronised: this.#synchronised, dropout: this.#dropout }),
      )
    }
  }

  /** Images [n, 3, h, w], channels last for speed. */
  forward(images: Tensor, pass: Pass): Outputs {
    const { logits, auxiliary } = this.program.outputs
    if (this.#synchronised) this.#synchronised.part = pass.part
    this.#dropout.now = dropsOf(pass)
    const second = pass.auxiliary ? auxiliary : undefined
    return tidy(() => {
      const x = inPrecision(images, this.#options.precision)
      const prepared = this.#prepare(second === undefined ? [logits] : [logits, second])
      const values = new Run(prepared, x, pass).values(x)
      return {
        logits: lookUp(values, logits),
        ...(second === undefined ? {} : { auxiliary: lookUp(values, second) }),
      }
    })
  }

  /** What is the same in every pass. */
  #prepare(outputs: readonly StateId[]): Prepared {
    const known = this.#prepared.get(outputs.length)
    if (known) return known
    const states = statesFor(this.program, outputs)
    const apart = concatenationsApart(states, outputs)
    const made = { states, outputs, apart, compiled: this.#compiled, plain: this.#plain }
    this.#prepared.set(outputs.length, made)
    return made
  }
}
