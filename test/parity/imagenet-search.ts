/**
 * The search on ImageNet in miniature, as it is computed: the space opens a part of its columns at a time, a subspace is sampled
 * every step, alpha and zeta are clipped apart, and their gradients count in the norm that those of the weights are clipped by.
 */
import { z } from 'zod'
import { stateDict } from '../../src/nn/index.ts'
import { weightStep } from '../../src/search/weight-step.ts'
import { cellTypes } from '../../src/spaces/darts/genotype.ts'
import { ucbScores } from '../../src/strategies/ddsas/ucb.ts'
import { lossGradients } from '../../src/strategies/shared/arch-optimizer.ts'
import { clone, copy, noGrad, type Tensor, tidy } from '../../src/torch/index.ts'
import {
  batchOf,
  type Course,
  type GoldenSearch,
  type Manner,
  type Search,
  searchSchema,
  withSearch,
} from './trajectory.ts'

const column = z.number().int()
export const imagenetSchema = searchSchema.extend({
  events: z.array(z.object({ step: z.number(), close_all: z.boolean(), open: z.tuple([column, column]) })),
  total_opt_steps: z.number(),
  never_updated: z.array(z.string()),
  counts: z.object({ parameters_of_model: z.number(), in_weight_optimizer: z.number() }),
  log: z.array(z.object({ valid_loss: z.number(), train_loss: z.number(), grad_norm_all: z.number() })),
})

export type ImagenetGolden = GoldenSearch<z.infer<typeof imagenetSchema>>

/** Takes what was computed, by the names of the golden files; numbers of a step are in a file's log. */
export type Observer = (name: string, value: number | Tensor | readonly (number | boolean)[]) => void

/** Computes all steps, each in as many passes as the search takes and one more, which moves nothing. */
export function imagenetSearch(
  golden: ImagenetGolden,
  manner: Manner,
  course: Course,
  observe: Observer,
): void {
  withSearch(
    golden,
    manner,
    (search) => {
      const forward = search.supernet.forward.bind(search.supernet)
      for (let step = 0; step < golden.recorded.steps; step += 1)
        new Step(golden, manner, search, step, observe).run(course, forward)
      observeEnd(search, batchOf(golden, 0, 'train', manner).images, observe)
    },
    'imagenet',
  )
  course.rewind()
}

class Step {
  readonly #golden: ImagenetGolden
  readonly #manner: Manner
  readonly #search: Search
  readonly #step: number
  readonly #observe: Observer

  constructor(golden: ImagenetGolden, manner: Manner, search: Search, step: number, observe: Observer) {
    this.#golden = golden
    this.#manner = manner
    this.#search = search
    this.#step = step
    this.#observe = (name, value) => observe(`step${step}/${name}`, value)
  }

  run(course: Course, forward: Search['supernet']['forward']): void {
    const { strategy, supernet, sgd } = this.#search
    const { weights } = this.#golden.recorded
    const [train, valid] = (['train', 'valid'] as const).map((half) =>
      batchOf(this.#golden, this.#step, half, this.#manner),
    )
    const observed = (half: string, body: () => void) => {
      supernet.forward = (...given) => {
        const outputs = forward(...given)
        this.#observe(`${half}.logits`, outputs.logits)
        return outputs
      }
      course.run(body)
      supernet.forward = forward
    }
    this.#sample()
    course.run(() => this.#observeGradients(() => lossGradientsOf(this.#search, valid)))
    const before = this.#optimizerState()
    observed('valid', () => {
      this.#observe('valid_loss', this.#search.archStep(train, valid, weights.lr).loss.item())
    })
    this.#observeClipped(before)
    observed('train', () => {
      const options = { lr: weights.lr, gradClip: weights.grad_clip, clipArch: true }
      const { loss, gradNorm } = weightStep(supernet, strategy, train, sgd, options)
      this.#observe('train_loss', loss.item())
      this.#observe('grad_norm_all', gradNorm.item())
    })
  }

  /** What happens to the space, then a subspace. */
  #sample(): void {
    const { strategy } = this.#search
    const { events, primitives } = this.#golden.recorded
    for (const { step, close_all, open } of events)
      if (step === this.#step)
        strategy.changeSpace({ kind: close_all ? 'only' : 'expand', operations: primitives.slice(...open) })
    strategy.prepareStep({ epoch: 0, step: this.#step, globalStep: this.#step })
    for (const cell of cellTypes) {
      const { mask, pulls } = strategy.memory(cell)
      const zeta = strategy.parameters().get(`zeta.${cell}`)?.matrix() ?? []
      this.#observe(`mask.${cell}`, mask.flat())
      // T was one less when they were scored
      const scores = ucbScores(zeta, pulls, 1 + this.#step, this.#golden.recorded.confidence)
      this.#observe(`ucb.${cell}`, scores.flat())
    }
  }

  /** Before the clip, in a pass after which running statistics are put back. */
  #observeGradients(gradients: () => readonly (Tensor | null)[]): void {
    tidy(() => {
      const buffers = Object.values(this.#search.supernet.buffers)
      const before = noGrad(() => buffers.map(clone))
      const found = gradients()
      for (const [index, name] of [...this.#search.strategy.parameters().keys()].entries()) {
        const gradient = found[index]
        if (gradient !== null) this.#observe(`grad/${name}`, gradient)
      }
      for (const [index, buffer] of buffers.entries()) copy(buffer, before[index])
    })
  }

  #optimizerState(): ReadonlyMap<string, Float32Array | Float64Array> {
    return new Map([...this.#search.strategy.state().tensors].map(([name, x]) => [name, x.floats()]))
  }

  /** What Adam was given, of which its running mean took a part: after the clip. */
  #observeClipped(before: ReadonlyMap<string, Float32Array | Float64Array>): void {
    const { betas, weight_decay: decay } = this.#golden.recorded.arch
    const after = this.#optimizerState()
    for (const name of this.#search.strategy.parameters().keys()) {
      const at = (state: typeof before, key: string, i: number) => (state.get(key) ?? [])[i]
      const mean = `adam.mean.${name}`
      const clipped = Array.from({ length: after.get(mean)?.length ?? 0 }, (_, i) => {
        const taken = (at(after, mean, i) - betas[0] * at(before, mean, i)) / (1 - betas[0])
        return taken - decay * at(before, name, i)
      })
      this.#observe(`grad.clipped/${name}`, clipped)
    }
  }
}

function lossGradientsOf({ supernet, strategy }: Search, batch: Parameters<typeof lossGradients>[3]) {
  const parameters = [...strategy.parameters().values()]
  return lossGradients(supernet, parameters, (group) => strategy.archWeights(group), batch).gradients
}

/** Saliency, pulls, alpha, zeta, weights and running statistics in the end, and logits in evaluation mode. */
function observeEnd(search: Search, images: Tensor, observe: Observer): void {
  const { strategy, supernet } = search
  for (const cell of cellTypes) {
    const { saliency, pulls } = strategy.memory(cell)
    observe(`final/saliency.${cell}`, saliency.flat())
    observe(`final/opt_steps.${cell}`, pulls.flat())
  }
  for (const [name, tensor] of [...strategy.parameters(), ...stateDict(supernet)])
    observe(`final/${name}`, tensor)
  observe(
    'final/eval.logits',
    noGrad(() => search.forward(images, false)),
  )
}
