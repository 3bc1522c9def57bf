/** Layers, optimizers and schedules on the tensor engine. */
export * from './layers.ts'
export * from './module.ts'
export * from './optim.ts'
export * from './schedule.ts'
