/**
 * Tables from the file of NAS-Bench-201, NAS-Bench-201-v1_1-096897.pth: one pickle of gigabytes, in either format of torch.save.
 * It is read twice: first to find which of its values it refers to again, then with these alone in memory.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { ByteReader, type NextBytes, type Refuse } from '../formats/byte-reader.ts'
import { fileParts } from '../formats/file-parts.ts'
import { readPickle } from '../formats/pickle.ts'
import { scanPickle } from '../formats/pickle-scan.ts'
import { skipLocalHeader, type ZipEntry, zipEntries } from '../formats/zip-reader.ts'
import { reportRead } from '../runs/files.ts'
import { collectResults } from './arch-results.ts'
import type { OnProgress } from './import-progress.ts'
import { resultOptions } from './results-pickle.ts'
import { TableBuilder } from './table-builder.ts'

/** The values of one architecture are some fifty thousand; what stays of each when its row is made are ten. */
const most = { values: 2_000_000, uses: 4_000_000, headValues: 100 } as const
/** The directory of an archive without tensors takes some hundred bytes. */
const tailBytes = 2 ** 20
/** Of torch.serialization: what legacy files begin with. */
const magicNumber = 0x1950a86a20f9469cfc6cn
const formatVersion = 1001

/** Where in a file a pickle lies. */
interface Place {
  readonly start: number
  readonly end: number
}

export function importPth(path: string, refuse: Refuse, onProgress: OnProgress): TableBuilder {
  return reportRead(path, () => {
    const file = openSync(path, 'r')
    try {
      const size = fstatSync(file).size
      const place = isZip(file) ? inZip(file, size, refuse) : inLegacy(file, size, refuse)
      return readResults(file, place, refuse, onProgress)
    } finally {
      closeSync(file)
    }
  })
}

function readResults(
  file: number,
  { start, end }: Place,
  refuse: Refuse,
  onProgress: OnProgress,
): TableBuilder {
  const builder = new TableBuilder(refuse)
  const total = 2 * (end - start)
  let done = 0
  const onPart = (part: Uint8Array) => {
    done += part.length
    onProgress({ done: Math.min(done, total), total, architectures: builder.rows })
  }
  const uses = scanPickle(readerOf(fileParts(file, start, end, onPart), refuse), most.uses, refuse)
  readPickle(readerOf(fileParts(file, start, end, onPart), refuse), {
    ...resultOptions(refuse),
    uses,
    mostValues: most.values,
    grown: collectResults((...found) => builder.add(...found), refuse),
  })
  return builder
}

function readerOf(next: NextBytes, refuse: Refuse): ByteReader {
  return new ByteReader(new Uint8Array(0), 0, refuse, next)
}

function isZip(file: number): boolean {
  const head = Buffer.alloc(4)
  readSync(file, head, 0, 4, 0)
  return head.toString('latin1') === 'PK\x03\x04'
}

/** The format since PyTorch 1.6: a zip archive whose one entry data.pkl is stored as it is. */
function inZip(file: number, size: number, refuse: Refuse): Place {
  const before = Math.max(0, size - tailBytes)
  const tail = Buffer.alloc(size - before)
  readSync(file, tail, 0, tail.length, before)
  const entries = [...zipEntries(tail, before, refuse).values()]
  const found = entries.filter(({ name }) => /^[^/]+\/data\.pkl$/.test(name))
  if (found.length !== 1) throw refuse('it is a zip archive without data.pkl, so not of torch.save')
  const [entry] = found
  if (entry.size !== entry.packed) throw refuse('its data.pkl is compressed; torch.save does not')
  const reader = readerOf(fileParts(file, entry.offset, size), refuse)
  skipLocalHeader(reader, entry, refuse)
  const start = entry.offset + reader.position
  const place = { start, end: Math.min(size, start + entry.size) }
  checkContent(file, place, entry, refuse)
  return place
}

function checkContent(
  file: number,
  { start, end }: Place,
  { checksum, name }: ZipEntry,
  refuse: Refuse,
): void {
  const next = fileParts(file, start, end)
  let found = 0
  for (let part = next(); part.length > 0; part = next()) found = crc32(part, found)
  if (found !== checksum) throw refuse(`its entry '${name}' is damaged (the CRC-32 differs)`)
}

/** The format before: three small pickles, then that of the data. */
function inLegacy(file: number, size: number, refuse: Refuse): Place {
  const reader = readerOf(fileParts(file, 0, size), refuse)
  const next = () => readPickle(reader, { ...resultOptions(refuse), mostValues: most.headValues })
  if (next() !== magicNumber || next() !== formatVersion) throw refuse('it is no file of torch.save')
  next()
  return { start: reader.position, end: size }
}
