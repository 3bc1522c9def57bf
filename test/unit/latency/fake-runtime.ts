/** A runtime whose models take what a formula says of their layers: for tests of what is made of times. */
import protobuf from 'protobufjs/light.js'
import { z } from 'zod'
import type { Runtime } from '../../../src/latency/runtime.ts'

const messages = protobuf.Root.fromJSON({
  nested: {
    Model: { fields: { graph: { type: 'Graph', id: 7 } } },
    Graph: { fields: { node: { rule: 'repeated', type: 'Node', id: 1 } } },
    Node: {
      fields: {
        input: { rule: 'repeated', type: 'string', id: 1 },
        output: { rule: 'repeated', type: 'string', id: 2 },
        opType: { type: 'string', id: 4 },
      },
    },
  },
})

const graphSchema = z.object({
  graph: z.object({
    node: z
      .array(z.object({ opType: z.string(), input: z.array(z.string()), output: z.array(z.string()) }))
      .default([]),
  }),
})

export type Node = z.infer<typeof graphSchema>['graph']['node'][number]

/** The nodes of a model, read by the field numbers of onnx.proto. */
export function nodesOf(model: Uint8Array): Node[] {
  const type = messages.lookupType('Model')
  return graphSchema.parse(type.toObject(type.decode(model))).graph.node
}

/** `took`: milliseconds of a model by its nodes and of its so-manieth run. */
export function fakeRuntime(
  took: (nodes: readonly Node[], run: number) => number,
): Runtime & { loads(): number } {
  let loads = 0
  return {
    name: 'fake',
    version: '1',
    loads: () => loads,
    load: async (model) => {
      loads += 1
      const nodes = nodesOf(model)
      let run = 0
      return { time: async () => took(nodes, run++), release: async () => {} }
    },
  }
}
