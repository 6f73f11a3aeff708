/**
 * A backup as the data directory that it was made of, at its moment: the log's own readers read it as they read any. Each
 * segment is the row of its parts. Of claims it has those of the newest openings, made of them. It can only be read.
 */
import { crc32 } from 'node:zlib'
import { encodeChecked } from '../checked-json.ts'
import { claimPath, segmentPath } from '../path.ts'
import type { ReadFile, Storage } from '../storage.ts'
import { backupUnusable, endOf, partPath, type Manifest, type Part, type SegmentCopy } from './manifest.ts'
import { readOnly } from './read-only.ts'

const CHUNK_BYTES = 4 * 1024 * 1024

export function viewBackup(storage: Storage, manifest: Manifest): Storage {
  const texts = new Map<string, Uint8Array>()
  for (const [path, text] of Object.entries(manifest.files)) texts.set(path, Buffer.from(text))
  for (const [path, content] of claimsOf(manifest)) texts.set(path, content)
  const segments = new Map<string, SegmentFile>()
  for (const { journal, segments: copies } of manifest.journals) {
    for (const copy of copies) segments.set(segmentPath(journal, copy.segment), { journal, copy })
  }
  const names = namesIn([...texts.keys(), ...segments.keys()])
  return readOnly({
    openRead(path) {
      const text = texts.get(path)
      if (text !== undefined) return Promise.resolve(openText(text))
      const segment = segments.get(path)
      return Promise.resolve(segment === undefined ? undefined : openSegment(storage, segment))
    },
    list: (path) => Promise.resolve([...(names.get(path) ?? [])].toSorted()),
    exists: (path) => texts.has(path) || segments.has(path),
  })
}

/**
 * Reads every part. Resolves to the first that is not what was written: where in it, whoever reads the records can tell.
 * @throws PenholdError `BackupUnusable` where one is missing or too short
 */
export async function findDamagedPart(
  storage: Storage,
  manifest: Manifest,
  onRead: (bytes: number) => void,
): Promise<string | undefined> {
  let damaged: string | undefined
  for (const { journal, segments } of manifest.journals) {
    for (const { segment, parts } of segments) {
      for (const part of parts) {
        const path = partPath(journal, segment, part)
        if ((await checksumOf(storage, { path, length: part.to - part.from, onRead })) !== part.crc) damaged ??= path
      }
    }
  }
  return damaged
}

interface PartFile {
  readonly path: string
  readonly length: number
  readonly onRead: (bytes: number) => void
}

async function checksumOf(storage: Storage, { path, length, onRead }: PartFile): Promise<number> {
  const file = await storage.openRead(path)
  if (file === undefined) throw backupUnusable(path, 0, 'the file is missing')
  try {
    let crc = 0
    for (let at = 0; at < length;) {
      const bytes = await file.read(at, Math.min(CHUNK_BYTES, length - at))
      if (bytes.length === 0) throw backupUnusable(path, at, `the file ends here, and had ${length} bytes`)
      crc = crc32(bytes, crc)
      at += bytes.length
      onRead(bytes.length)
    }
    return crc
  } finally {
    await file.close()
  }
}

/** Where in the backup a place of the log's files is. */
export function placeInBackup(
  { journals }: Manifest,
  { path, offset }: { readonly path: string; readonly offset: number },
): { readonly path: string; readonly offset: number } {
  for (const { journal, segments } of journals) {
    const copy = segments.find(({ segment }) => segmentPath(journal, segment) === path)
    const part = copy?.parts.find(({ from, to }) => from <= offset && offset < to)
    if (copy !== undefined && part !== undefined) {
      return { path: partPath(journal, copy.segment, part), offset: offset - part.from }
    }
  }
  return { path, offset }
}

interface SegmentFile {
  readonly journal: number
  readonly copy: SegmentCopy
}

function* claimsOf({ journals }: Manifest): Generator<[string, Uint8Array]> {
  const newest = new Map<number, { readonly epoch: number; readonly journal: number }>()
  for (const { journal, openings } of journals) {
    for (const [shard, epoch] of openings) {
      if (epoch > (newest.get(shard)?.epoch ?? 0)) newest.set(shard, { epoch, journal })
    }
  }
  for (const [shard, { epoch, journal }] of newest) {
    yield [claimPath(shard, epoch), encodeChecked({ shard, journal, node: 'backup', epoch })]
  }
}

function namesIn(paths: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const names = new Map<string, Set<string>>()
  for (const path of paths) {
    const words = path.split('/')
    for (let depth = 0; depth < words.length; depth += 1) {
      const folder = words.slice(0, depth).join('/')
      names.set(folder, (names.get(folder) ?? new Set()).add(words[depth]!))
    }
  }
  return names
}

function openText(content: Uint8Array): ReadFile {
  return {
    size: () => Promise.resolve(content.length),
    read: (offset, length) => Promise.resolve(Uint8Array.from(content.subarray(offset, offset + length))),
    sync: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

function openSegment(storage: Storage, { journal, copy }: SegmentFile): ReadFile {
  const opened = new Map<Part, Promise<ReadFile | undefined>>()
  const open = (part: Part): Promise<ReadFile | undefined> => {
    const known = opened.get(part) ?? storage.openRead(partPath(journal, copy.segment, part))
    opened.set(part, known)
    return known
  }
  const size = endOf(copy)
  return {
    size: () => Promise.resolve(size),
    async read(offset, length) {
      const to = Math.min(size, offset + length)
      const bytes = new Uint8Array(Math.max(0, to - offset))
      for (const part of copy.parts.filter((each) => each.from < to && each.to > offset)) {
        const from = Math.max(offset, part.from)
        const read = await (await open(part))?.read(from - part.from, Math.min(to, part.to) - from)
        bytes.set(read ?? [], from - offset)
      }
      return bytes
    },
    sync: () => Promise.resolve(),
    async close() {
      for (const file of opened.values()) await (await file)?.close()
    },
  }
}
