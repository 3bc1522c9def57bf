/** Scalars for TensorBoard: an `events.out.tfevents.*` file of TFRecords, each a TensorFlow `Event` message. */
import { closeSync, ftruncateSync, openSync, readdirSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import protobuf from 'protobufjs/light.js'
import { reportDisk } from './files.ts'
import { frameRecord } from './tfrecord.ts'

/** The part of TensorFlow's `event.proto` and `summary.proto` that scalars need, with its field numbers. */
const messages = protobuf.Root.fromJSON({
  nested: {
    Event: {
      oneofs: { what: { oneof: ['fileVersion', 'summary', 'sessionLog'] } },
      fields: {
        wallTime: { type: 'double', id: 1 },
        step: { type: 'int64', id: 2 },
        fileVersion: { type: 'string', id: 3 },
        summary: { type: 'Summary', id: 5 },
        sessionLog: { type: 'SessionLog', id: 7 },
      },
    },
    Summary: { fields: { value: { rule: 'repeated', type: 'Value', id: 1 } } },
    Value: {
      oneofs: { value: { oneof: ['simpleValue'] } },
      fields: { tag: { type: 'string', id: 1 }, simpleValue: { type: 'float', id: 2 } },
    },
    SessionLog: { fields: { status: { type: 'int32', id: 1 } } },
  },
})

/** `SessionLog.SessionStatus.START`: TensorBoard then drops what older files hold from this event's step on. */
const sessionStart = 1

const namePattern = /^events\.out\.tfevents\.(\d{1,12})\./

/**
 * Writes the scalars of one process; a run that was resumed has a file for each. Every call reaches the file at
 * once, so a kill loses nothing.
 */
export class EventWriter {
  readonly path: string
  readonly #type = messages.lookupType('Event')
  readonly #file: number
  #bytes = 0

  /**
   * Starts a new file in the run folder `folder`. With `purgeFromStep`, TensorBoard forgets what earlier files hold
   * from that step on: what a killed run wrote after the checkpoint.
   * @throws {DdsasError} `disk` when it cannot be written.
   */
  constructor(folder: string, purgeFromStep?: number) {
    this.path = join(folder, `events.out.tfevents.${nextSecond(folder)}.${hostname()}`)
    this.#file = reportDisk(this.path, () => openSync(this.path, 'ax'))
    const wallTime = Date.now() / 1000
    this.#append({ wallTime, fileVersion: 'brain.Event:2' })
    if (purgeFromStep === undefined) return
    const start = { wallTime, step: purgeFromStep, sessionLog: { status: sessionStart } }
    // TensorBoard takes the first start it sees for that of the run itself, and forgets only at the next.
    this.#append(start)
    this.#append(start)
  }

  /**
   * Adds one value (float32) for each tag at `step`.
   * @param wallTime seconds since 1970; now when left out.
   * @throws {DdsasError} `disk` when it cannot be written.
   */
  scalars(step: number, values: Record<string, number>, wallTime: number = Date.now() / 1000): void {
    const value = Object.entries(values).map(([tag, simpleValue]) => ({ tag, simpleValue }))
    if (value.length > 0) this.#append({ wallTime, step, summary: { value } })
  }

  close(): void {
    closeSync(this.#file)
  }

  #append(event: object): void {
    const record = frameRecord(this.#type.encode(event).finish())
    reportDisk(this.path, () => {
      let written = 0
      try {
        while (written < record.length) written += writeSync(this.#file, record, written)
      } catch (error) {
        // Readers stop at a torn record: without it, what is written once there is space again is still read.
        ftruncateSync(this.#file, this.#bytes)
        throw error
      }
      this.#bytes += record.length
    })
  }
}

/** TensorBoard reads files in the order of their names, so a new one must sort after all that are there. */
function nextSecond(folder: string): number {
  const names = reportDisk(folder, () => readdirSync(folder))
  const used = names.map((name) => Number(namePattern.exec(name)?.[1] ?? 0))
  return Math.max(Math.floor(Date.now() / 1000), ...used.map((second) => second + 1))
}
