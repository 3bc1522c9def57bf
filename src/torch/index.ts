/** The tensor engine: libtorch through one generic call (see native/addon.cc). */
export * from './autograd.ts'
export * from './device.ts'
export * from './functional.ts'
export { type Graph, recordGraph } from './graph.ts'
export { describeEngine, type EngineInfo } from './native.ts'
export * from './process-group.ts'
export { Generator, type GeneratorState } from './random.ts'
export * from './safetensors.ts'
export {
  type Argument,
  areTruthValues,
  call,
  callLater,
  callMany,
  type Dtype,
  dtypes,
  elementBytes,
  isCountable,
  memoryFormats,
  run,
  Tensor,
} from './tensor.ts'
export { adopt, keep, liveSlots, tidy } from './tidy.ts'
