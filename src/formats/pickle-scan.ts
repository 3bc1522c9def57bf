/** A first look over a pickle that makes no values: it finds which values of its memo are asked for, and how often. */
import type { ByteReader, Refuse } from './byte-reader.ts'
import { maxNameBytes, unknownOpcode } from './pickle.ts'

/** How an opcode's argument is passed over: so many bytes, or so many bytes that give the length of what follows. */
interface Argument {
  readonly bytes?: number
  readonly length?: 1 | 4 | 8
}

const none: Argument = { bytes: 0 }
const withoutArgument = [
  ...[0x4e, 0x88, 0x89, 0x5d, 0x61, 0x65, 0x29, 0x74, 0x85, 0x86, 0x87, 0x7d, 0x73, 0x75, 0x8f, 0x90],
  ...[0x28, 0x94, 0x93, 0x52, 0x81, 0x62, 0x51],
]
const fixed = { 1: [0x4b, 0x71, 0x80], 2: [0x4d], 4: [0x4a, 0x72], 8: [0x47, 0x95] } as const
const counted = { 1: [0x8a, 0x55, 0x8c, 0x43], 4: [0x8b, 0x54, 0x58, 0x42], 8: [0x8d, 0x8e] } as const

const argumentsOf = new Map<number, Argument>([
  ...withoutArgument.map((code) => [code, none] as const),
  ...([1, 2, 4, 8] as const).flatMap((bytes) => fixed[bytes].map((code) => [code, { bytes }] as const)),
  ...([1, 4, 8] as const).flatMap((length) => counted[length].map((code) => [code, { length }] as const)),
])

const argumentTable = Array.from({ length: 256 }, (_, code) => argumentsOf.get(code))
const opcode = { get1: 0x68, get4: 0x6a, global: 0x63, stop: 0x2e } as const

/**
 * Reads over one pickle. The reader then stands behind it.
 * @param most different values that may be asked for; many more than that are held by no data worth keeping in memory.
 * @returns how often each value of the memo is asked for: what `readPickle` takes as `uses`.
 * Throws what `refuse` makes of an opcode that is not allowed, and of an end that is missing.
 */
export function scanPickle(reader: ByteReader, most: number, refuse: Refuse): Map<number, number> {
  const uses = new Map<number, number>()
  const use = (index: number) => {
    uses.set(index, (uses.get(index) ?? 0) + 1)
    if (uses.size > most) throw refuse(`its pickle asks for more than ${most} values again`)
  }
  for (;;) {
    const code = reader.uint8()
    const argument = argumentTable[code]
    if (argument?.bytes !== undefined) reader.skip(argument.bytes)
    else if (argument?.length !== undefined) reader.skip(lengthOf(reader, argument.length))
    else if (code === opcode.get1) use(reader.uint8())
    else if (code === opcode.get4) use(reader.uint32())
    else if (code === opcode.stop) return uses
    else if (code === opcode.global) for (let line = 0; line < 2; line++) reader.line(maxNameBytes)
    else throw unknownOpcode(code, reader, refuse)
  }
}

function lengthOf(reader: ByteReader, bytes: 1 | 4 | 8): number {
  if (bytes === 1) return reader.uint8()
  return bytes === 4 ? reader.uint32() : reader.size64()
}
