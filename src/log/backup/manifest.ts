/**
 * `backup.json`: what a backup has (docs/decisions/backup.md). Written last and whole, so that a backup that was
 * interrupted leaves the one before as it was. Like a claim it is a line of JSON and a line with its CRC-32.
 */
import { PenholdError } from '../../aggregate/error.ts'
import { decodeChecked, encodeChecked } from '../checked-json.ts'
import { decodeIdentity, type ClusterIdentity } from '../cluster-identity.ts'
import { isCount } from '../count.ts'
import { CLUSTER_PATH } from '../path.ts'
import type { Place } from '../reign.ts'
import { readWhole, type Storage } from '../storage.ts'

export const MANIFEST_PATH = 'backup.json'
const MANIFEST_FORMAT = 1

export interface Manifest {
  readonly format: number
  /** Everything that counts up to this position, and was durable at this time, is in the backup. */
  readonly position: number
  /** Milliseconds since 1970, by the clock of the machine that made it. */
  readonly time: number
  readonly journals: readonly JournalCopy[]
  /** The small files of the data directory, whole, by their paths there. */
  readonly files: Readonly<Record<string, string>>
  /** What of the log could not be read when it was copied; it was copied as it is. */
  readonly damages: readonly Damage[]
}

export interface JournalCopy {
  readonly journal: number
  /** Behind its last whole batch. */
  readonly end: Place
  /** The greatest of any record. */
  readonly positionLast: number
  /** The newest opening of each shard in it: shard, epoch, segment, offset. */
  readonly openings: readonly (readonly [number, number, number, number])[]
  readonly segments: readonly SegmentCopy[]
}

export interface SegmentCopy {
  readonly segment: number
  /** The files that the segment is the row of. None of them is ever changed. */
  readonly parts: readonly Part[]
}

/** A stretch of a segment, and the CRC-32 of its bytes. */
export interface Part {
  readonly from: number
  readonly to: number
  readonly crc: number
}

/** What cannot be read of a file of the log, and where. */
export interface Damage {
  readonly path: string
  readonly offset: number
  readonly problem: string
}

export function partPath(journal: number, segment: number, { from }: Pick<Part, 'from'>): string {
  const pad = (value: number, digits: number): string => String(value).padStart(digits, '0')
  return `journals/${pad(journal, 8)}/${pad(segment, 6)}-${pad(from, 10)}.log`
}

export function endOf({ parts }: SegmentCopy): number {
  return parts.at(-1)?.to ?? 0
}

export async function writeManifest(storage: Storage, manifest: Omit<Manifest, 'format'>): Promise<void> {
  await storage.replaceDurably(MANIFEST_PATH, encodeChecked({ format: MANIFEST_FORMAT, ...manifest }))
}

/** Undefined where there is none. @throws PenholdError `BackupUnusable` where it is not what was written */
export async function readManifest(storage: Pick<Storage, 'openRead'>): Promise<Manifest | undefined> {
  const content = await readWhole(storage, MANIFEST_PATH)
  if (content === undefined) return undefined
  const manifest = decodeChecked(content) as Partial<Manifest> | undefined
  if (manifest === undefined) throw backupUnusable(MANIFEST_PATH, 0, 'this is not what was written')
  if (manifest.format !== MANIFEST_FORMAT || !isCount(manifest.position)) {
    throw backupUnusable(MANIFEST_PATH, 0, `its format is ${String(manifest.format)}, and this Penhold knows 1`)
  }
  return manifest as Manifest
}

/** Whose log is in there. @throws PenholdError `BackupUnusable` */
export function identityOf({ files }: Manifest): ClusterIdentity {
  const identity = decodeIdentity(Buffer.from(files[CLUSTER_PATH] ?? ''))
  if (identity === undefined) throw backupUnusable(MANIFEST_PATH, 0, `its ${CLUSTER_PATH} is not what was written`)
  return identity
}

export function backupUnusable(path: string, offset: number, problem: string): PenholdError {
  return new PenholdError(
    'BackupUnusable',
    `${path} of the backup, at byte ${offset}: ${problem}. Use another copy of the backup, or an older one; to back up, use an empty folder. Nothing was changed.`,
    { outcome: 'none', retryable: false, details: { path, offset } },
  )
}
