/**
 * Where nothing of a segment's own stands, a whole batch of another place may: of another segment, of another journal, or
 * of another cluster. No crash leaves that; a file was exchanged.
 */
import { BATCH_BYTES_LIMIT, BATCH_HEADER_BYTES, readBatch } from './batch.ts'
import type { FilePool } from './file-pool.ts'
import { segmentPath } from './path.ts'
import { Block } from './record.ts'
import type { StreamHash } from './stream.ts'

export interface SegmentPlace {
  readonly journal: number
  readonly segment: number
  readonly offset: number
}

export const ANOTHER_CLUSTER = 'another cluster'

/** Whose the whole batch is that stands there, in words; undefined where none does. */
export async function findMisplaced(
  files: FilePool,
  cluster: StreamHash,
  { journal, segment, offset }: SegmentPlace,
): Promise<string | undefined> {
  const block = new Block(
    (await files.read(segmentPath(journal, segment), offset, BATCH_BYTES_LIMIT)) ?? new Uint8Array(),
  )
  if (block.bytes.length < BATCH_HEADER_BYTES) return undefined
  const named = { journal: block.u32(16), segment: block.u32(20), offset: block.u32(24) }
  const own = { low: block.u32(40), high: block.u32(44) }
  if (readBatch(block, 0, { ...named, cluster: own }).kind !== 'batch') return undefined
  if (own.low !== cluster.low || own.high !== cluster.high) return ANOTHER_CLUSTER
  // Its living writer has just written it.
  if (named.journal === journal && named.segment === segment && named.offset === offset) return undefined
  return `${segmentPath(named.journal, named.segment)}, byte ${named.offset}`
}
