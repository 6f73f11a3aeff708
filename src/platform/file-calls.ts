/**
 * The system calls that file storage is made of, in two kinds: `blocking`, on the calling thread, for a worker that has
 * nothing better to do than wait for its disk (twice as fast on a fast disk, as no thread pool stands between); and
 * `pooled`, for a thread that others need as well.
 */
import fs from 'node:fs'
import { promisify } from 'node:util'

export interface FileCalls {
  open(path: string, flags: string, mode?: number): Promise<number>
  close(file: number): Promise<void>
  /** Returns how many bytes were written, which may be fewer. */
  write(file: number, bytes: Uint8Array, from: number, length: number, position: number): Promise<number>
  /** Returns how many bytes were read, which may be fewer. */
  read(file: number, into: Uint8Array, at: number, length: number, position: number): Promise<number>
  size(file: number): Promise<number>
  /** By the file system's clock. */
  modifiedAtMs(path: string): Promise<number>
  truncate(file: number, length: number): Promise<void>
  /** `bytes` is how much was written since the last sync. */
  dataSync(file: number, bytes: number): Promise<void>
  fullSync(file: number): Promise<void>
  link(existing: string, path: string): Promise<void>
  unlink(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  makeFolder(path: string, mode: number): Promise<void>
  removeFolder(path: string): Promise<void>
  list(path: string): Promise<string[]>
}

const dataSync = promisify(fs.fdatasync)
const fullSync = promisify(fs.fsync)
/**
 * From so many bytes on, a sync leaves the thread to others. Some sixty small events, about as many as a worker decides before it
 * commits: where more were waiting the rest can be decided meanwhile, and a smaller batch left nothing to do but to wait.
 */
const POOLED_SYNC_BYTES = 10 * 1024

// Each is an async function over a synchronous call, so that a failure rejects instead of being thrown.
export const blocking: FileCalls = {
  open: async (path, flags, mode) => fs.openSync(path, flags, mode),
  close: async (file) => fs.closeSync(file),
  write: async (file, bytes, from, length, position) => fs.writeSync(file, bytes, from, length, position),
  read: async (file, into, at, length, position) => fs.readSync(file, into, at, length, position),
  size: async (file) => fs.fstatSync(file).size,
  modifiedAtMs: async (path) => fs.statSync(path).mtimeMs,
  truncate: async (file, length) => fs.ftruncateSync(file, length),
  // A large write has many callers waiting behind it whose commands can be decided while the disk works; for a small
  // one the way through the pool and back is a third of the time.
  dataSync: async (file, bytes) => (bytes < POOLED_SYNC_BYTES ? fs.fdatasyncSync(file) : dataSync(file)),
  // Of what has just been made: several at once are one commit to the file system, and callers are served meanwhile.
  fullSync,
  link: async (existing, path) => fs.linkSync(existing, path),
  unlink: async (path) => fs.unlinkSync(path),
  rename: async (from, to) => fs.renameSync(from, to),
  makeFolder: async (path, mode) => void fs.mkdirSync(path, mode),
  removeFolder: async (path) => fs.rmdirSync(path),
  list: async (path) => fs.readdirSync(path),
}

const write = promisify(fs.write)
const read = promisify(fs.read)

export const pooled: FileCalls = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  write: async (file, bytes, from, length, position) => (await write(file, bytes, from, length, position)).bytesWritten,
  read: async (file, into, at, length, position) => (await read(file, into, at, length, position)).bytesRead,
  size: async (file) => (await promisify(fs.fstat)(file)).size,
  modifiedAtMs: async (path) => (await fs.promises.stat(path)).mtimeMs,
  truncate: promisify(fs.ftruncate),
  dataSync: (file) => dataSync(file),
  fullSync,
  link: promisify(fs.link),
  unlink: promisify(fs.unlink),
  rename: promisify(fs.rename),
  makeFolder: async (path, mode) => void (await fs.promises.mkdir(path, { mode })),
  removeFolder: promisify(fs.rmdir),
  list: (path) => fs.promises.readdir(path),
}
