/** One's own operation, space and strategy, through the public API alone: searched, trained, described, drawn and exported. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  describeNetwork,
  drawArchitectureCells,
  exportOnnx,
  exportPytorch,
  type NetworkShape,
  nn,
  readTrained,
  runSearch,
  runTrain,
  type SearchRequest,
  type SearchSpace,
  torch,
} from 'ddsas'
import { space as ownOperations } from '../../examples/own-operation.ts'
import { space as ownSpace } from '../../examples/own-space.ts'
import { strategy as ownStrategy } from '../../examples/own-strategy.ts'
import { python, pythonHas } from '../unit/export/python.ts'
import { testPair, testSpace } from '../unit/search/pairs.ts'
import { makeFolder } from './command.ts'
import { writeImages } from './images.ts'
