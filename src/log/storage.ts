/**
 * The port through which the log reaches durable bytes. Its promise is all that the ownership protocol needs:
 * exclusive creation and reading are linearizable, and what `sync` returned for survives a power loss.
 *
 * Paths are relative to the data directory, with `/` between folders. Implemented over a file system by
 * platform/file-storage.ts, in memory by memory-storage.ts, and with crashes and faults by testing/simulated-storage.ts; all
 * pass the suite in test/log/storage-contract.ts.
 */
export interface Storage {
  /**
   * Creates a file with this content unless one exists, whole or not at all. When it resolves to true, content and name
   * are durable. Of several callers exactly one gets true.
   */
  createExclusive(path: string, content: Uint8Array): Promise<boolean>
  /** Creates a file for a fence: exclusive and visible to everyone at once, but not necessarily durable. */
  createMark(path: string): Promise<boolean>
  /** Creates a folder, durably, with the folders above it; false if it existed. Of several callers one gets true. */
  createFolder(path: string): Promise<boolean>
  /** Creates a file that must not exist yet, durably named, and opens it for its one writer. */
  createLog(path: string): Promise<LogFile>
  /** Puts a derived file in place, whole or not at all. Not necessarily durable: what is derived can be made again. */
  replace(path: string, content: Uint8Array): Promise<void>
  /** The same for what cannot be made again: durable, content and name, when it resolves. */
  replaceDurably(path: string, content: Uint8Array): Promise<void>
  remove(path: string): Promise<void>
  /** Removes a folder that is empty; fails where it is not. */
  removeFolder(path: string): Promise<void>
  /** Opens a file to read; undefined where there is none. */
  openRead(path: string): Promise<ReadFile | undefined>
  /** The names in a folder, sorted; none where there is no folder. */
  list(path: string): Promise<readonly string[]>
  /** Looks, at once and past every cache, whether a file exists. The fence check stands on it: throws where it cannot tell. */
  exists(path: string): boolean
}

/** A file with one writer for its whole life. */
export interface LogFile {
  /** Writes at a place; durable only after the next `sync`. The bytes are left as they are, and may be reused once it has resolved. */
  write(offset: number, bytes: Uint8Array): Promise<void>
  /** After a failure the fate of everything since the last sync is unknown, and a second sync may succeed and lie. */
  sync(): Promise<void>
  /** Cuts what was allocated and not used. */
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

export interface ReadFile {
  size(): Promise<number>
  /** Up to `length` bytes from `offset`, fewer at the end of the file; 8-byte aligned in memory, the caller's to keep. */
  read(offset: number, length: number): Promise<Uint8Array>
  /** Makes durable what was written to the file by now, by whomever. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** There is no room for what was to be written. */
export function isStorageFull(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | undefined)?.code
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** Room, memory and descriptors are everybody's. */
const SHORTAGES: readonly string[] = ['ENOSPC', 'EDQUOT', 'ENOMEM', 'EMFILE', 'ENFILE']

/** The system failed at a file, and says nothing about others. */
export function isFileFailure(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | undefined)?.code
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) && !SHORTAGES.includes(code)
}

/** The content of a whole small file; undefined where there is none. */
export async function readWhole(storage: Pick<Storage, 'openRead'>, path: string): Promise<Uint8Array | undefined> {
  const file = await storage.openRead(path)
  if (file === undefined) return undefined
  try {
    return await file.read(0, await file.size())
  } finally {
    await file.close()
  }
}
