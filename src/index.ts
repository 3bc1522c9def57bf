/**
 * ddsas as a library: everything another program may use. Each part has an example; the tests compile and run them, one
 * after the other, in a folder that holds `data`.
 */
// biome-ignore-all assist/source/organizeImports: in the order in which one reads it, each example with its part

/**
 * A whole search, from a preset to a run folder, as `ddsas search` runs it.
 *
 * @example
 * ```ts
 * import { runSearch } from 'ddsas'
 *
 * // a few seconds: enough to see it work, too little for a good cell
 * const settings = ['epochs=2', 'data.images=64', 'data.batch=16', 'network.channels=4', 'network.cells=3']
 * const { run, space, architecture } = await runSearch(
 *   { preset: 'demo', settings, data: 'data', out: 'runs/first' },
 *   { step: ({ globalStep, train }) => console.log(`step ${globalStep}: loss ${train.loss.toFixed(3)}`) },
 * )
 * console.log(`${space.format(architecture)} in ${run.path}`)
 * ```
 */
export {
  planSearch,
  type RunObserver,
  type RunStart,
  runSearch,
  type SearchPlan,
  type SearchResult,
} from './search/run.ts'
export type { Benchmark, SearchRequest } from './search/request.ts'
export type { EpochReport, Judgement, SearchObserver, StepReport } from './search/report.ts'

/**
 * The settings of a search: the presets, and `key=value` changes that are checked.
 *
 * @example
 * ```ts
 * import { applySettings, searchPreset } from 'ddsas'
 *
 * const config = applySettings(searchPreset('cifar10'), ['ddsas.subspace=35', 'seed=1'])
 * console.log(`L = ${config.ddsas?.subspace} in ${config.network.cells} cells`)
 * ```
 */
export { applySettings, parseSearchConfig, type SearchConfig } from './search/config.ts'
export { type SearchPresetName, searchPreset, searchPresets } from './search/presets.ts'

/**
 * What a search will cost: memory of its tensors and time for each L, from a few steps on this machine.
 *
 * @example
 * ```ts
 * import { planLengths } from 'ddsas'
 *
 * const settings = ['network.channels=4', 'network.cells=3', 'data.batch=8', 'evaluation.batch=8']
 * const { lengths } = planLengths({ preset: 'demo', settings, lengths: [20, 40] })
 * for (const { subspace, memory, fits } of lengths)
 *   console.log(`L = ${subspace}: ${Math.round(memory / 2 ** 20)} MiB, ${fits ? 'fits' : 'does not fit'}`)
 * ```
 */
export {
  type MeasureObserver,
  type Plan,
  type PlannedLength,
  type PlannedStage,
  type PlanRequest,
  planLengths,
} from './search/plan.ts'

/**
 * Changes of the space by hand, as `ddsas control` asks for them: a search takes them up at its next window, or once it goes on.
 *
 * @example
 * ```ts
 * import { askChange, runSearch } from 'ddsas'
 *
 * const settings = ['data.images=64', 'data.batch=16', 'network.channels=4', 'network.cells=3', 'ddsas.window=1']
 * await runSearch(
 *   { preset: 'demo', settings, data: 'data', out: 'runs/changed', epochs: 1 },
 *   {
 *     step: ({ globalStep }) => {
 *       if (globalStep === 1) askChange({ run: 'runs/changed', change: { kind: 'close', operations: ['none'] } })
 *     },
 *     space: ({ groups }) => console.log(`${groups.normal?.available} operations left`),
 *   },
 * )
 * ```
 */
export { askChange, type ChangeAnswer, type ChangeRequest } from './search/ask-change.ts'
export type { RefusedChange, SpaceChangeReport } from './search/report.ts'

/**
 * A run on the disk: its configuration, metrics, genotype and checkpoints, and what a search decided in each window. Reading
 * changes nothing, also while a search writes there.
 *
 * @example
 * ```ts
 * import { RunFolder, readWindows } from 'ddsas'
 *
 * const run = RunFolder.open('runs/first')
 * const steps = run.readMetrics().filter(({ kind }) => kind === 'step')
 * console.log(`${steps.length} steps, checkpoints after ${run.checkpointSteps().join(' and ')}`)
 * for (const { opened, closed, groups } of readWindows(run))
 *   console.log(`steps ${opened} to ${closed}: ${groups.normal?.mask.flat().filter(Boolean).length} operations sampled`)
 * ```
 */
export { RunFolder } from './runs/folder.ts'
export { readWindows } from './search/windows.ts'
export type { SearchWindow, WindowGroup } from './strategies/ddsas/window-record.ts'

/**
 * The best architectures of a run so far, not only the one it picks, as `ddsas candidates` lists them.
 *
 * @example
 * ```ts
 * import { findCandidates } from 'ddsas'
 *
 * const { by, candidates } = findCandidates({ run: 'runs/first', top: 3 })
 * for (const { score, parameters } of candidates) console.log(`${by} ${score}: ${parameters} parameters`)
 * ```
 */
export {
  type Candidate,
  type Candidates,
  type CandidatesRequest,
  findCandidates,
} from './search/candidates.ts'
export type { CollapseReport, SearchWork } from './search/report.ts'

/**
 * Data sets: CIFAR-10, CIFAR-100, and any other in their binary layout.
 *
 * @example
 * ```ts
 * import { fetchDataset, hasCifar, readCifar } from 'ddsas'
 *
 * if (!hasCifar('data', 'cifar10')) await fetchDataset('cifar10', 'data')
 * const { images, labels, count, classes } = readCifar('data', 'cifar10', 'train')
 * console.log(`${count} images, ${images.length / count} bytes each; the first: ${classes[labels[0] ?? 0]}`)
 * ```
 */
export { type CifarName, hasCifar, type ImageDataset, readCifar } from './data/cifar.ts'
export { type FetchProgress, type FetchResult, fetchDataset } from './data/fetch.ts'

/**
 * The search by hand: a supernet of a space and the strategy that searches it. One's own space, strategy or operation is
 * searched by `runSearch({ space, strategy, … })`; see `examples/`.
 *
 * @example
 * ```ts
 * import { findSpace, findStrategy, nn, torch } from 'ddsas'
 *
 * const [space, ddsas] = [findSpace('darts'), findStrategy('ddsas')]
 * const init = { device: 'cpu', generator: new torch.Generator(0, 'weights') }
 * const supernet = new nn.Network(space.supernet({ channels: 4, cells: 3, classes: 10 }), init)
 * const strategy = ddsas.create({ space, init, seed: 0, epochs: 1 }, ddsas.defaults(space))
 * strategy.prepareStep({ epoch: 0, step: 0, globalStep: 0 })
 * torch.tidy(() => {
 *   const images = torch.Tensor.from(new Float32Array(2 * 3 * 32 * 32), [2, 3, 32, 32])
 *   const archWeights: nn.ArchWeightsOf = (group) => strategy.archWeights(group, 'train')
 *   const { logits } = supernet.forward(images, { training: true, archWeights })
 *   console.log(`logits [${logits.shape}] of ${space.choices.length} groups of decisions`)
 * })
 * ```
 */
export { findSpace, spaces } from './spaces/index.ts'
export { onePerRow, type RowArchitecture } from './spaces/one-per-row.ts'
export type {
  Available,
  ChoiceGroup,
  NetworkOptions,
  Picks,
  Scores,
  SearchSpace,
  SupernetOptions,
} from './spaces/space.ts'
export { cellSpace, dartsSpace } from './spaces/darts/cell-space.ts'
export type { Operation, OperationOptions } from './spaces/darts/operations.ts'
export { type CellSpace, darts } from './spaces/darts/space.ts'
export { findStrategy, strategies } from './strategies/index.ts'
export { ArchitectureWeights, drawArchitecture } from './spaces/architecture-weights.ts'
export type {
  ArchScores,
  Batch,
  Evaluate,
  MeasureNext,
  NetworkRecipe,
  Occasion,
  Outcome,
  Progress,
  Ranked,
  Schedule,
  Score,
  SpaceChange,
  SpaceReport,
  Stage,
  StagedSearch,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from './strategies/strategy.ts'
/**
 * Genotypes: the cells a search ends with, as data, as the line that PyTorch code reads, and as drawings.
 *
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs'
 * import { blockKinds, cosineDistance, dartsSpace, drawBlock, drawCell, formatGenotype } from 'ddsas'
 * import { parseGenotype, parseGenotypeLine, RunFolder, shownNetwork } from 'ddsas'
 *
 * const genotype = parseGenotype(RunFolder.open('runs/first').readGenotype(), 'runs/first')
 * const { svg } = await drawCell(genotype, 'normal')
 * writeFileSync('normal.svg', svg)
 * // the same for architectures of any space
 * const network = shownNetwork(dartsSpace, genotype)
 * for (const kind of blockKinds(network))
 *   writeFileSync(`${kind}.png`, (await drawBlock(network, kind)).png)
 * const same = parseGenotypeLine(formatGenotype(genotype))
 * console.log(`distance ${cosineDistance(genotype, same)}`)
 * ```
 */
export { blockKinds } from './export/block-view.ts'
export { type CellDrawing, drawBlock, drawCell } from './export/draw.ts'
export {
  type CellType,
  cellTypes,
  cosineDistance,
  type Genotype,
  type GenotypeEdge,
  skipConnections,
} from './spaces/darts/genotype.ts'
export {
  formatGenotype,
  parseGenotype,
  parseGenotypeLine,
  readGenotypeFile,
} from './spaces/darts/genotype-file.ts'

/**
 * What a network is before it is trained: parameters, multiply-adds, depth and cells, as `ddsas describe` shows them.
 *
 * @example
 * ```ts
 * import { describeNetwork, publishedGenotype } from 'ddsas'
 *
 * const genotype = publishedGenotype('DDSAS_cifar10')
 * const shape = { kind: 'cifar', genotype, channels: 36, cells: 20, classes: 10, auxiliary: true } as const
 * const { parameters, multiplyAdds, depth } = describeNetwork(shape)
 * console.log(`${parameters} parameters, ${multiplyAdds} multiply-adds, ${depth} layers deep`)
 * ```
 */
export { shownNetwork, describeNetwork, type NetworkShape, programOf } from './spaces/network-shape.ts'
export type { NetworkDescription } from './spaces/describe.ts'
export {
  type PublishedName,
  publishedGenotype,
  publishedGenotypes,
} from './spaces/darts/published-genotypes.ts'

/**
 * A whole training of a genotype's network, from a recipe to the test error, as `ddsas train` runs it.
 *
 * @example
 * ```ts
 * import { publishedGenotype, runTrain } from 'ddsas'
 *
 * // enough to see it work, too little to learn anything
 * const settings = ['epochs=1', 'data.batch=16', 'network.channels=4', 'network.cells=3', 'evaluation.batch=16']
 * const { run, report } = await runTrain(
 *   { genotype: publishedGenotype('DDSAS_cifar10'), preset: 'cifar10', settings, data: 'data', out: 'runs/trained' },
 *   { epoch: ({ epoch, train }) => console.log(`epoch ${epoch + 1}: loss ${train.loss.toFixed(3)}`) },
 * )
 * console.log(`${(100 * report.last.test.top1Error).toFixed(1)} % of ${report.last.test.images} wrong, in ${run.path}`)
 * ```
 */
export {
  runTrain,
  type TrainRequest,
  type TrainResult,
  type TrainRunObserver,
  type TrainStart,
} from './retrain/run.ts'
export type { TrainEpochReport, TrainReport, TrainStepReport } from './retrain/train.ts'
export type { SkippedFile } from './data/folder-images.ts'
export { applyTrainSettings, type TrainConfig } from './retrain/config.ts'
export { type TrainPresetName, trainPreset, trainPresets } from './retrain/presets.ts'

/**
 * The error of trained weights on a test set, as `ddsas evaluate` measures it: of a run, or of a file of weights.
 *
 * @example
 * ```ts
 * import { evaluateWeights, RunFolder, readTrained } from 'ddsas'
 *
 * const weights = readTrained(RunFolder.open('runs/trained'), 'best')
 * const { top1Error, images, classes, confusion } = await evaluateWeights({ ...weights, device: 'cpu' })
 * const right = classes.map((name, label) => `${name} ${confusion[label]?.[label]}`)
 * console.log(`${Math.round((1 - top1Error) * images)} of ${images} right: ${right.join(', ')}`)
 * ```
 */
export { readTrained, type TrainedEpoch, type TrainedWeights } from './retrain/trained-weights.ts'
export {
  evaluateWeights,
  type WeightsEvaluation,
  type WeightsToEvaluate,
} from './retrain/evaluate-weights.ts'
export { readWeightFile, shapeOfWeights, type WeightFile } from './export/weights.ts'

/**
 * Tables of benchmarks: what was recorded of architectures that others have trained, as `ddsas nasbench` makes and asks them.
 *
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs'
 * import { findRow, importNasbench201, judgeOf, openTable, writeTable } from 'ddsas'
 *
 * // one line of many; `runSearch({ …, benchmark: { space: table.space, recorded: judgeOf(table) } })` reports each epoch
 * const cell = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|'
 * writeFileSync('results.csv', `index,arch_str,cifar10_test\n0,${cell},90.5\n`)
 * writeTable('nb201.table', await importNasbench201('results.csv'))
 * const table = openTable('nb201.table', 'nasbench201')
 * const accuracy = table.value(findRow(table, cell), 'cifar10.test.200')
 * console.log(`${accuracy} %, rank ${judgeOf(table)(cell)?.rank}`)
 * ```
 */
export {
  accuraciesOf,
  BenchmarkTable,
  type Column,
  factsOf,
  findRow,
  type ImportOptions,
  type ImportProgress,
  importNasbench101,
  importNasbench201,
  judgeOf,
  openTable,
  randomSearch,
  type RandomSearchOptions,
  type RandomSearchResult,
  type TableContent,
  writeTable,
} from './benchmarks/index.ts'

/**
 * Latency: what the candidates of a space cost in time, measured by ONNX Runtime on this machine or read from a table of
 * another, as `ddsas latency` does it.
 *
 * @example
 * ```ts
 * import { findSpace, latencyCosts, measureLatency, openRuntime, readLatencyTable, tableCost } from 'ddsas'
 *
 * // enough to see it work, too little to rely on; natively: 'onnxruntime-node', which npm installs
 * const runtime = await openRuntime('onnxruntime-web')
 * const network = { kind: 'cifar', channels: 4, cells: 3, classes: 10, imageSide: 8 } as const
 * const limits = { least: 1, most: 2, precision: 0.01 }
 * const asked = { space: 'nasbench201', network, batch: 1, threads: 1, networks: 6, heldOut: 2, seed: 0, limits }
 * const { errors } = await measureLatency({ ...asked, out: 'latency.json' }, runtime)
 * const space = findSpace('nasbench201')
 * const costs = latencyCosts(readLatencyTable('latency.json'), space, network, 'latency.json')
 * const cell = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|'
 * const ms = tableCost(costs, space.encode(space.parse(cell, 'given')))
 * console.log(`${ms > 0 ? 'some' : 'no'} ms, by ${errors.networks} networks off by ${errors.mean >= 0 ? 'so much' : '?'}`)
 * ```
 */
export { type CostTable, tableCost } from './budget/cost-table.ts'
export {
  type HeldOutErrors,
  type LatencyTable,
  latencyCosts,
  readLatencyTable,
  type Timing,
} from './budget/latency-table.ts'
export { type CheckRequest, checkLatency, type LatencyCheck } from './latency/check.ts'
export { type MeasureRequest, measureLatency } from './latency/measure.ts'
export type { RoundLimits } from './latency/rounds.ts'
export { openRuntime, type Runtime, type RuntimeName, type TimedModel } from './latency/runtime.ts'
export type { LatencyObserver, LatencyProgress } from './latency/timer.ts'

/**
 * Trained networks for other programs, as `ddsas export` writes them: ONNX, a Python file for PyTorch, safetensors.
 *
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs'
 * import { exportOnnx, exportPytorch, exportSafetensors, RunFolder, readTrained, torch } from 'ddsas'
 *
 * torch.tidy(() => {
 *   const trained = readTrained(RunFolder.open('runs/trained'))
 *   writeFileSync('network.onnx', exportOnnx(trained, 'bytes'))
 *   writeFileSync('network.safetensors', exportSafetensors(trained))
 *   const { module, weights } = exportPytorch(trained)
 *   writeFileSync('network.py', module)
 *   writeFileSync('network.pt', weights)
 *   console.log(`a network of ${trained.classNames?.length} classes in four files`)
 * })
 * ```
 */
export { exportOnnx, type OnnxInput, onnxInputs } from './export/onnx.ts'
export { exportPytorch, type PytorchExport } from './export/pytorch-module.ts'
export type { TrainedNetwork } from './export/trained.ts'
export { exportSafetensors } from './export/weights.ts'

/**
 * The tensor engine: every operator of libtorch by its name. Tensors made inside `tidy` are freed at its end.
 *
 * @example
 * ```ts
 * import { torch } from 'ddsas'
 *
 * torch.tidy(() => {
 *   const x = torch.Tensor.from(Float32Array.of(1, 2, 3), [3])
 *   torch.setRequiresGrad([x], true)
 *   const sum = torch.call('aten::sum', torch.call('aten::mul.Tensor', x, x))
 *   const [gradient] = torch.grad(sum, [x])
 *   console.log(`x² sums to ${sum.item()}, its gradient is ${gradient?.floats()}`)
 * })
 * ```
 */
export * as torch from './torch/index.ts'
/** Modules, layers and optimizers on the engine, named as in PyTorch. */
export * as nn from './nn/index.ts'

/**
 * The one error of this library: a kind and one line with thing, value and remedy.
 *
 * @example
 * ```ts
 * import { DdsasError, searchPreset } from 'ddsas'
 *
 * try {
 *   searchPreset('mnist')
 * } catch (error) {
 *   if (!(error instanceof DdsasError)) throw error
 *   console.log(`${error.kind}: ${error.message}`)
 * }
 * ```
 */
export { DdsasError, type ErrorKind, exitCodes } from './errors.ts'
