/**
 * Reading a segment from its beginning, batch by batch, and saying how it ends. Nothing is ever cut or mended here.
 */
import { BATCH_HEADER_BYTES, findMagic, readBatch, type Batch, type SegmentIdentity } from './batch.ts'
import { dataFormat } from './error.ts'
import type { FilePool } from './file-pool.ts'
import { segmentPath } from './path.ts'
import { Block } from './record.ts'

const CHUNK_BYTES = 4 * 1024 * 1024

/**
 * How a segment ends: `clean`, where nothing but zeroes follows the last batch; `torn`, where bytes follow that are no
 * batch, as a crash in the middle of a write leaves them; `corrupt`, where whole batches stand behind bytes that are
 * none, so that something that was written is lost.
 */
export type SegmentEnd = 'clean' | 'torn' | 'corrupt'

export interface ScanResult {
  readonly ending: SegmentEnd
  /** Where the last whole batch before any damage ends. */
  readonly end: number
}

/**
 * Hands each whole batch from `start` on to `visit`, in order, up to the first place where there is none.
 * The batch's records are valid as long as the visitor keeps them.
 */
export async function scanSegment(
  files: FilePool,
  identity: SegmentIdentity,
  visit: (batch: Batch) => void | Promise<void>,
  start = 0,
): Promise<ScanResult> {
  const path = segmentPath(identity.journal, identity.segment)
  let offset = start
  let want = CHUNK_BYTES
  for (;;) {
    const bytes = await files.read(path, offset, want)
    if (bytes === undefined || bytes.length === 0) return { ending: 'clean', end: offset }
    const block = new Block(bytes)
    let at = 0
    for (;;) {
      const reading = readBatch(block, at, { ...identity, offset: offset + at })
      if (reading.kind === 'format') throw laterFormat(path, reading.version)
      if (reading.kind === 'batch') {
        await visit(reading.batch)
        at += reading.batch.length
        continue
      }
      const isMore = bytes.length === want
      if (!isMore || reading.needs === undefined)
        return { ending: await ending(files, identity, offset + at), end: offset + at }
      want = Math.max(CHUNK_BYTES, reading.needs)
      break
    }
    offset += at
  }
}

/** What follows the end: zeroes, rubbish, or batches that somebody wrote behind the rubbish. */
async function ending(files: FilePool, identity: SegmentIdentity, end: number): Promise<SegmentEnd> {
  const path = segmentPath(identity.journal, identity.segment)
  let isZero = true
  // Chunks overlap by a header, so that no batch's beginning is cut in two.
  for (let offset = end; ; offset += CHUNK_BYTES - BATCH_HEADER_BYTES) {
    const bytes = await files.read(path, offset, CHUNK_BYTES)
    if (bytes === undefined || bytes.length === 0) break
    if (isZero) isZero = bytes.every((byte) => byte === 0)
    const block = new Block(bytes)
    for (let at = findMagic(block, 0); at !== -1; at = findMagic(block, at + 8)) {
      if (offset + at > end && (await isBatch(files, identity, offset + at))) return 'corrupt'
    }
    if (bytes.length < CHUNK_BYTES) break
  }
  return isZero ? 'clean' : 'torn'
}

async function isBatch(files: FilePool, identity: SegmentIdentity, offset: number): Promise<boolean> {
  const path = segmentPath(identity.journal, identity.segment)
  const head = await files.read(path, offset, BATCH_HEADER_BYTES)
  if (head?.length !== BATCH_HEADER_BYTES) return false
  const first = readBatch(new Block(head), 0, { ...identity, offset })
  if (first.kind !== 'none') return first.kind === 'batch'
  if (first.needs === undefined) return false
  const bytes = await files.read(path, offset, first.needs)
  return bytes !== undefined && readBatch(new Block(bytes), 0, { ...identity, offset }).kind === 'batch'
}

function laterFormat(path: string, version: number): Error {
  return dataFormat(`${path} has format ${version}, which this Penhold cannot read. Use the version that wrote it.`, {
    path,
    version,
  })
}
