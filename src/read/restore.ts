/** Making a log of a backup: every event up to a position, as it was. */
import type { Clock } from '../log/clock.ts'
import { Catalog } from '../log/catalog.ts'
import { logCorrupt } from '../log/error.ts'
import { backupUnusable, endOf, identityOf, type Manifest } from '../log/backup/manifest.ts'
import { findDamagedPart, placeInBackup, viewBackup } from '../log/backup/backup-view.ts'
import { NewLog } from '../log/new-log.ts'
import { segmentPath } from '../log/path.ts'
import type { LogRecord } from '../log/record.ts'
import type { Place } from '../log/reign.ts'
import { readRestorations } from '../log/restoration.ts'
import { sliceOf } from '../log/slice.ts'
import type { Storage } from '../log/storage.ts'
import { hash64 } from '../log/stream.ts'
import { verify, type Verification } from '../log/verify/verify.ts'
import { AllReader, type Frontier } from './all.ts'
import { wholeCommands } from './whole-commands.ts'

export interface RestoreOptions {
  readonly backup: Storage
  readonly manifest: Manifest
  /** Of a data directory that is there and empty. */
  readonly to: Storage
  readonly clock: Clock
  /** Up to where; not beyond what the backup has. */
  readonly position: number
  /** A UUID. */
  readonly id: string
  readonly segmentBytes: number
  /** Told how much is done, of how much. */
  readonly onProgress?: (done: number, total: number) => void
  /** Aborted, it rejects with the signal's reason, and the directory is unfinished. */
  readonly signal?: AbortSignal
}

export interface Restored {
  readonly position: number
  readonly events: number
  readonly streams: number
}

/** Reading the parts, the two walks of `verify`, and reading the events. */
const READINGS = 4

/**
 * Checks everything in the backup, as `penhold verify` does, before anything is written.
 * @throws PenholdError `BackupUnusable` where anything is not as it was written; `StorageFull`
 */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const { backup, manifest, clock, signal, onProgress } = options
  const view = viewBackup(backup, manifest)
  const bytes = manifest.journals.flatMap(({ segments }) => segments).reduce((sum, copy) => sum + endOf(copy), 0)
  let done = 0
  const onRead = (count: number): void => {
    signal?.throwIfAborted()
    done += count
    onProgress?.(Math.min(done, bytes * READINGS), bytes * READINGS)
  }
  const damagedPart = await findDamagedPart(backup, manifest, onRead)
  let told = 0
  const onWalk = (walked: number): void => {
    onRead(walked - told)
    told = walked
  }
  const verification = await verify({ storage: view, clock, onProgress: onWalk, ...(signal && { signal }) })
  refuseDamage(manifest, verification, damagedPart)
  const frontier = frontierOf(manifest, verification, options.position)
  return { ...(await write(options, { view, frontier, onRead })), position: options.position }
}

function refuseDamage(manifest: Manifest, { findings }: Verification, damagedPart: string | undefined): void {
  const finding = findings.kept.find(({ severity }) => severity === 'damage')
  if (finding !== undefined) {
    const { path, offset } = placeInBackup(manifest, { path: finding.file, offset: finding.offset })
    throw backupUnusable(path, offset, `${finding.problem} (${finding.meaning})`)
  }
  if (damagedPart !== undefined) throw backupUnusable(damagedPart, 0, 'its bytes are not those that were written')
}

function frontierOf({ journals }: Manifest, { survey }: Verification, position: number): Frontier {
  const reigns = new Map(survey.openedShards.map((shard) => [shard, survey.reigns(shard)]))
  const ends = new Map<number, Place>(journals.map(({ journal, end }) => [journal, end]))
  return { reigns, ends, position }
}

interface Source {
  readonly view: Storage
  readonly frontier: Frontier
  readonly onRead: (bytes: number) => void
}

async function write(options: RestoreOptions, { view, frontier, onRead }: Source): Promise<Omit<Restored, 'position'>> {
  const { manifest, to, clock, position, id, segmentBytes } = options
  const identity = identityOf(manifest)
  const { clusterId, shards } = identity
  const catalog = new Catalog({ storage: view, clock, cluster: hash64(clusterId, 0), shards })
  const log = await NewLog.begin({ storage: to, clock, identity, segmentBytes })
  try {
    const seqs = new Map<number, number>()
    for await (const events of wholeCommands(new AllReader(catalog), frontier)) {
      for (const event of events) {
        checkSeq(seqs, event)
        await log.add(log.streamOf(event.stream), partsOf(event))
        onRead(event.length)
      }
    }
    const resumesAfter = Math.max(0, ...manifest.journals.map(({ positionLast }) => positionLast))
    await log.finish({ id, position, before: await readRestorations(view), resumesAfter })
    return { events: log.events, streams: log.streams }
  } catch (error) {
    await log.abandon()
    throw error
  } finally {
    await catalog.close()
  }
}

/** The reader sees to it that they go on one by one, and not that they begin with the first. */
function checkSeq(seqs: Map<number, number>, { shard, seq, address }: LogRecord): void {
  const expected = (seqs.get(shard) ?? 0) + 1
  seqs.set(shard, seq)
  if (seq === expected) return
  const path = segmentPath(address.journal, address.segment)
  throw logCorrupt(path, address.offset, `shard ${shard} goes on with seq ${seq}, where ${expected} was to be expected`)
}

function partsOf(event: LogRecord): Parameters<NewLog['add']>[1] {
  const { version, payloadHash, position, time, eventId, commandId, typeVersion, typeBytes, dataBytes } = event
  const header = { version, payloadHash, position, time, eventId, commandId, typeVersion }
  return { ...header, type: typeBytes, data: sliceOf(dataBytes), metadata: event.metadataBytes }
}
