/** A thread that reads files of NATS-Bench: it takes their bytes, and gives what they hold. */
import { parentPort } from 'node:worker_threads'
import { readTssFile } from './tss-file.ts'

parentPort?.on('message', (packed: Uint8Array) => parentPort?.postMessage(readTssFile(packed)))
