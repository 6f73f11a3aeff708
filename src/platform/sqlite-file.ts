/** SQLite files: made for their owner alone, and with failures that say what to do. */
import fs from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { readModelUnavailable, readModelUnusable } from '../read/read-model-error.ts'

/** So long one waits for another process that writes; meanwhile the thread stands still. */
const BUSY_MS = 2_000

// https://sqlite.org/rescode.html
const READ_ONLY = 8
const CORRUPT = 11
const NOT_A_DATABASE = 26
/** Busy, locked, out of memory, failed input or output, full, cannot be opened. */
const PASSING = [5, 6, 7, 10, 13, 14]

/** A new file, which only its owner may read. */
export function createDatabase(path: string): DatabaseSync {
  // The files that SQLite puts beside it have the rights of this one.
  fs.closeSync(fs.openSync(path, 'wx', 0o600))
  return openDatabase(path)
}

export function openDatabase(path: string): DatabaseSync {
  return understanding(path, () => new DatabaseSync(path, { timeout: BUSY_MS }))
}

export function removeDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) fs.rmSync(path + suffix, { force: true })
}

/** Runs something in a transaction that nobody else can write beside: whole, or not at all. */
export function inTransaction<Result>(db: DatabaseSync, run: () => Result): Result {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = run()
    db.exec('COMMIT')
    return result
  } catch (error) {
    // After some failures SQLite has done it by itself.
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

/**
 * Runs something over a file. Where the file is what failed, the error says so; others are passed on.
 * @param isWriting whether a refusal to write is the file's failure
 */
export function understanding<Result>(path: string, run: () => Result, isWriting = true): Result {
  try {
    return run()
  } catch (error) {
    const code = resultCode(error)
    if (code === CORRUPT || code === NOT_A_DATABASE) {
      throw readModelUnusable(path, `the file is damaged (${(error as Error).message})`, error)
    }
    if (code !== undefined && (PASSING.includes(code) || (code === READ_ONLY && isWriting))) {
      throw readModelUnavailable(path, error)
    }
    throw error
  }
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  // Without what makes it an extended one.
  return error.errcode & 0xff
}
