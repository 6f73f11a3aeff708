/**
 * Backing a log up into a folder that has earlier backups of it, or nothing. Of each segment only what the folder does not
 * have is copied, into a file of its own: no file of a backup is ever changed, and the manifest, which says what there is,
 * is replaced last. So whatever happens in the middle, the backup before is as it was.
 */
import { crc32 } from 'node:zlib'
import { Catalog } from '../catalog.ts'
import type { Clock } from '../clock.ts'
import { decodeIdentity } from '../cluster-identity.ts'
import { dataFormat, logCorrupt } from '../error.ts'
import { CLUSTER_PATH, journalPath, JOURNALS_PATH, lossPath, numbersOf, RESTORED_PATH, segmentPath } from '../path.ts'
import { readWhole, type Storage } from '../storage.ts'
import { hash64 } from '../stream.ts'
import type { JournalSurvey } from './journal-survey.ts'
import {
  backupUnusable,
  endOf,
  partPath,
  readManifest,
  writeManifest,
  type Damage,
  type JournalCopy,
  type Manifest,
  type Part,
  type SegmentCopy,
} from './manifest.ts'
import { findMoment, type Moment } from './moment.ts'
import { readOnly } from './read-only.ts'

export interface BackupOptions {
  /** The data directory. Nothing is written there. */
  readonly from: Storage
  /** The folder of the backup. */
  readonly to: Storage
  readonly clock: Clock
  readonly pause: () => Promise<void>
  /** Told how many bytes were read or copied, of about how many. */
  readonly onProgress?: (done: number, total: number) => void
  /** Aborted, it rejects with the signal's reason; the backup before is as it was. */
  readonly signal?: AbortSignal
}

export interface Backup {
  readonly position: number
  readonly time: number
  /** Bytes of segments that were copied now, and that the backup has in all. */
  readonly bytesCopied: number
  readonly bytes: number
  readonly unopened: readonly number[]
  /** In what the backup has in all. */
  readonly damages: readonly Damage[]
}

const CHUNK_BYTES = 4 * 1024 * 1024
/** So much before the end of what an earlier backup has is compared. */
const COMPARED_BYTES = 4096

/**
 * @throws PenholdError `BackupUnusable` where the folder has backups of another log; `DataFormat` where nobody knows whose
 * the data is; `LogCorrupt` where something cannot be read at all
 */
export async function backUp(options: BackupOptions): Promise<Backup> {
  const from = readOnly(options.from)
  const content = await readWhole(from, CLUSTER_PATH)
  const identity = content === undefined ? undefined : decodeIdentity(content)
  if (identity === undefined) {
    throw dataFormat(`${CLUSTER_PATH} is missing or not what was written. Run 'penhold verify'.`, {})
  }
  const before = await readManifest(options.to)
  const { clusterId, shards } = identity
  const catalog = new Catalog({ storage: from, clock: options.clock, cluster: hash64(clusterId, 0), shards })
  try {
    const lost = before === undefined ? [] : await checkSame(from, options.to, before)
    const meter = await createMeter(options, catalog, before)
    const { clock, pause } = options
    const known = before?.journals ?? []
    const atLeast = before?.position ?? 0
    const moment = await findMoment({ storage: from, catalog, clock, shards, known, atLeast, onRead: meter, pause })
    const files = await readFiles(from, moment)
    const copier = new Copier(options.to, catalog, meter)
    const journals = await copier.copy(moment.journals, known)
    const damages = merge([...(before?.damages ?? []), ...lost, ...moment.damages])
    const { position, time, unopened } = moment
    options.signal?.throwIfAborted()
    await writeManifest(options.to, { position, time, journals, files, damages })
    const bytes = journals.flatMap(({ segments }) => segments).reduce((sum, segment) => sum + endOf(segment), 0)
    return { position, time, bytesCopied: copier.bytes, bytes, unopened, damages }
  } finally {
    await catalog.close()
  }
}

/** Of the segments' bytes each is read twice: to be surveyed, and to be copied. */
async function createMeter(
  { from, onProgress, signal }: BackupOptions,
  { files }: Catalog,
  before: Manifest | undefined,
): Promise<(bytes: number) => void> {
  const known = new Map<string, number>()
  for (const { journal, segments } of before?.journals ?? []) {
    for (const copy of segments) known.set(segmentPath(journal, copy.segment), endOf(copy))
  }
  let total = 0
  for (const journal of numbersOf(await from.list(JOURNALS_PATH), '')) {
    for (const segment of numbersOf(await from.list(journalPath(journal)), '.log')) {
      const path = segmentPath(journal, segment)
      total += 2 * Math.max(0, ((await files.size(path)) ?? 0) - (known.get(path) ?? 0))
    }
  }
  let done = 0
  return (bytes) => {
    signal?.throwIfAborted()
    done += bytes
    onProgress?.(Math.min(done, total), total)
  }
}

/**
 * That what the backup has is the beginning of what is to be backed up. A data directory that was restored, or put back by
 * other means, gives the numbers of its journals once more. Resolves to what the log has lost since.
 */
async function checkSame(from: Storage, to: Storage, before: Manifest): Promise<readonly Damage[]> {
  for (const path of [CLUSTER_PATH, RESTORED_PATH]) {
    const content = await readWhole(from, path)
    if (textOf(content) === before.files[path]) continue
    throw backupUnusable(path, 0, 'it is of another log, or of this one before it was restored')
  }
  const lost: Damage[] = []
  for (const { journal, segments } of before.journals) {
    for (const copy of segments) {
      if (await isThere({ from, to, journal }, copy)) continue
      const path = segmentPath(journal, copy.segment)
      lost.push({ path, offset: 0, problem: 'the file is missing; an earlier backup has it' })
    }
  }
  return lost
}

interface Tail {
  readonly from: Storage
  readonly to: Storage
  readonly journal: number
}

/** @throws PenholdError `BackupUnusable` where something else is there */
async function isThere({ from, to, journal }: Tail, { segment, parts }: SegmentCopy): Promise<boolean> {
  const last = parts.at(-1)
  if (last === undefined) return true
  const start = Math.max(last.from, last.to - COMPARED_BYTES)
  const path = partPath(journal, segment, last)
  const copied = await readRange(to, path, { from: start - last.from, to: last.to - last.from })
  if (copied?.length !== last.to - start) throw backupUnusable(path, 0, 'the file is missing, or has lost its end')
  const original = await readRange(from, segmentPath(journal, segment), { from: start, to: last.to })
  if (original === undefined) return false
  if (Buffer.from(original).equals(copied)) return true
  const problem = `it is not what ${segmentPath(journal, segment)} has from byte ${start} on: run 'penhold verify' on both`
  throw backupUnusable(path, start - last.from, problem)
}

async function readRange(
  storage: Storage,
  path: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<Uint8Array | undefined> {
  const file = await storage.openRead(path)
  try {
    return await file?.read(from, to - from)
  } finally {
    await file?.close()
  }
}

class Copier {
  readonly #to: Storage
  readonly #catalog: Catalog
  readonly #onCopied: (bytes: number) => void
  #bytes = 0

  constructor(to: Storage, catalog: Catalog, onCopied: (bytes: number) => void) {
    this.#to = to
    this.#catalog = catalog
    this.#onCopied = onCopied
  }

  get bytes(): number {
    return this.#bytes
  }

  async copy(surveys: readonly JournalSurvey[], known: readonly JournalCopy[]): Promise<readonly JournalCopy[]> {
    const journals: JournalCopy[] = []
    for (const survey of surveys) {
      const { journal, end, positionLast } = survey
      const openings = [...survey.openings].map(
        ([shard, { epoch, address }]) => [shard, epoch, address.segment, address.offset] as const,
      )
      const before = known.find((copy) => copy.journal === journal)
      const segments = await this.#segments(survey, before)
      journals.push({ journal, end, positionLast, openings, segments })
    }
    return journals
  }

  async #segments({ journal, ends }: JournalSurvey, before: JournalCopy | undefined): Promise<readonly SegmentCopy[]> {
    const segments: SegmentCopy[] = []
    for (const [segment, to] of ends) {
      const parts = before?.segments.find((copy) => copy.segment === segment)?.parts ?? []
      const from = parts.at(-1)?.to ?? 0
      segments.push({
        segment,
        parts: from === to ? parts : [...parts, await this.#part(journal, segment, { from, to })],
      })
    }
    return segments
  }

  async #part(journal: number, segment: number, { from, to }: Omit<Part, 'crc'>): Promise<Part> {
    const path = partPath(journal, segment, { from })
    await this.#to.createFolder(journalPath(journal))
    // A backup that was interrupted may have left one, which no manifest names.
    await this.#to.remove(path)
    const file = await this.#to.createLog(path)
    let crc = 0
    try {
      for (let at = from; at < to;) {
        const bytes = await this.#read(journal, segment, { from: at, to: Math.min(to, at + CHUNK_BYTES) })
        await file.write(at - from, bytes)
        crc = crc32(bytes, crc)
        at += bytes.length
        this.#bytes += bytes.length
        this.#onCopied(bytes.length)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    return { from, to, crc }
  }

  async #read(journal: number, segment: number, { from, to }: Omit<Part, 'crc'>): Promise<Uint8Array> {
    const path = segmentPath(journal, segment)
    const bytes = await this.#catalog.files.read(path, from, to - from)
    if (bytes?.length !== to - from) throw logCorrupt(path, from, 'what stood here a moment ago is gone')
    return bytes
  }
}

/** Small files that cannot be made of the segments: whose the log is, what was restored, and losses that were accepted. */
async function readFiles(from: Storage, { journals }: Moment): Promise<Record<string, string>> {
  const paths = [CLUSTER_PATH, RESTORED_PATH]
  for (const { journal } of journals) {
    const segments = numbersOf(await from.list(journalPath(journal)), '.lost')
    paths.push(...segments.map((segment) => lossPath(journal, segment)))
  }
  const files: Record<string, string> = {}
  for (const path of paths) {
    const text = textOf(await readWhole(from, path))
    if (text !== undefined) files[path] = text
  }
  return files
}

/** Each place once. */
function merge(damages: readonly Damage[]): readonly Damage[] {
  return [...new Map(damages.map((damage) => [`${damage.path} ${damage.offset}`, damage])).values()]
}

function textOf(content: Uint8Array | undefined): string | undefined {
  return content === undefined ? undefined : Buffer.from(content).toString('utf8')
}
