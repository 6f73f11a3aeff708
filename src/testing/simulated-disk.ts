/**
 * A disk in memory that keeps what was synced apart from what was only written. Power loss keeps any subset of the
 * latter, sector by sector, which tears writes and reorders them; names whose folder was not synced come and go.
 *
 * Processes reach it through a `SimulatedStorage` each (simulated-storage.ts).
 */
import type { SeededRandom } from './random.ts'

const SECTOR_BYTES = 512

interface Extent {
  readonly offset: number
  readonly bytes: Uint8Array
  /** The sync that should have saved it failed: it can be read, and later syncs say all is well, but it is lost. */
  isGhost: boolean
}

export class SimulatedFile {
  live: Uint8Array = new Uint8Array()
  #durable: Uint8Array = new Uint8Array()
  #dirty: Extent[] = []
  /** Whether the name survives power loss for certain. */
  isNameDurable: boolean

  constructor(isNameDurable: boolean) {
    this.isNameDurable = isNameDurable
  }

  write(offset: number, bytes: Uint8Array): void {
    const extent = { offset, bytes: Uint8Array.from(bytes), isGhost: false }
    this.live = patched(this.live, extent)
    this.#dirty.push(extent)
  }

  sync(): void {
    for (const extent of this.#dirty) if (!extent.isGhost) this.#durable = patched(this.#durable, extent)
    this.#dirty = this.#dirty.filter(({ isGhost }) => isGhost)
  }

  /** The sync fails, and the next one will lie about it. */
  failSync(): void {
    for (const extent of this.#dirty) extent.isGhost = true
  }

  truncate(length: number): void {
    this.live = this.live.slice(0, length)
    this.#durable = this.#durable.slice(0, length)
    this.#dirty = this.#dirty.map((extent) => ({
      ...extent,
      bytes: extent.bytes.slice(0, Math.max(0, length - extent.offset)),
    }))
  }

  /** Flips one bit of what is durable. */
  flip(offset: number, bit: number): void {
    this.live[offset]! ^= 1 << bit
    if (offset < this.#durable.length) this.#durable[offset]! ^= 1 << bit
  }

  losePower(random: SeededRandom): void {
    for (const extent of this.#dirty) {
      if (extent.isGhost) continue
      for (const sector of sectors(extent)) if (random.chance(0.5)) this.#durable = patched(this.#durable, sector)
    }
    this.#dirty = []
    this.live = Uint8Array.from(this.#durable)
  }
}

export class SimulatedDisk {
  readonly files: Map<string, SimulatedFile> = new Map()
  readonly folders: Set<string> = new Set([''])
  /** What was removed and may come back. */
  readonly removed: Map<string, SimulatedFile> = new Map()
  readonly #removedFolders = new Set<string>()
  /** Bytes that still fit; without limit unless it is set. */
  room: number = Number.POSITIVE_INFINITY

  /** Durable, and so is what was removed under that name before. */
  makeFolder(path: string): void {
    this.folders.add(path)
    this.#removedFolders.delete(path)
    for (const removed of this.removed.keys()) if (removed.startsWith(`${path}/`)) this.removed.delete(removed)
  }

  removeFolder(path: string): void {
    this.folders.delete(path)
    this.#removedFolders.add(path)
  }

  losePower(random: SeededRandom): void {
    for (const path of this.#removedFolders) if (random.chance(0.5)) this.folders.add(path)
    this.#removedFolders.clear()
    for (const [path, file] of this.removed) if (random.chance(0.5)) this.#bringBack(path, file)
    this.removed.clear()
    for (const [path, file] of this.files) {
      if (!file.isNameDurable && random.chance(0.5)) this.files.delete(path)
      else file.losePower(random)
      file.isNameDurable = true
    }
  }

  /** A file cannot come back without its folder. */
  #bringBack(path: string, file: SimulatedFile): void {
    if (this.files.has(path)) return
    this.files.set(path, file)
    this.folders.add(path.slice(0, path.lastIndexOf('/')))
  }
}

function* sectors({ offset, bytes }: Extent): Generator<Extent> {
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES))
    yield { offset: offset + at, bytes: bytes.subarray(at, end), isGhost: false }
    at = end
  }
}

function patched(image: Uint8Array, { offset, bytes }: Extent): Uint8Array {
  if (bytes.length === 0) return image
  let target = image
  if (offset + bytes.length > image.length) {
    target = new Uint8Array(offset + bytes.length)
    target.set(image)
  }
  target.set(bytes, offset)
  return target
}
