/** `penhold restore`: makes a data directory of a backup. */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { resolve } from 'node:path'
import { MANIFEST_PATH, readManifest, type Manifest } from '../log/backup/manifest.ts'
import { lastPositionAt, timeOfPosition } from '../log/position.ts'
import { DEFAULT_SEGMENT_BYTES } from '../node/config.ts'
import { makeDirectory } from '../node/data-directory.ts'
import { lockDirectory } from '../node/directory-lock.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { systemClock } from '../platform/system.ts'
import { restore as restoreLog, type RestoreOptions } from '../read/restore.ts'
import { complain } from './complaint.ts'
import { Exit, UsageError, type Command, type Terminal, type Values } from './command.ts'
import { createProgress } from './progress.ts'
import { counted } from './report.ts'

export const UNTIL_OPTIONS = { 'to-position': { type: 'string' }, 'to-time': { type: 'string' } } as const

export const UNTIL_HELP = `  --to-position P   up to this position, as an event or a backup tells it
  --to-time TIME    up to this time, as 2026-03-01T12:00:00Z: of what was written later, nothing`

export const restore: Command = {
  summary: 'makes a data directory of a backup',
  help: `Makes a data directory of a backup: every event up to its position, or an earlier one, with the ids, versions,
positions and times that it had. Everything in the backup is checked first, as penhold verify does.

  penhold restore FROM TO [--to-position P | --to-time TIME] [--json]

FROM is the folder of the backup. TO is the data directory: a folder that is empty, or not there.

${UNTIL_HELP}
  --json            print one JSON object and nothing else
  --help            print this

Until all is there no node starts on TO. Consumers that have gone further than the restored log are refused.

Exit code: 0 it is restored, 1 the backup is damaged or TO cannot be written, 2 usage, 130 interrupted.`,
  options: UNTIL_OPTIONS,
  operands: ['from', 'to'],
  async run(values, terminal, signal) {
    const from = resolve(String(values['from']))
    const backup = new FileStorage(from, pooled)
    const manifest = await readManifest(backup)
    if (manifest === undefined) {
      throw new UsageError(
        `there is no backup in ${from}: it has no ${MANIFEST_PATH}`,
        'give the TO of a penhold backup',
      )
    }
    const wanted = untilOf(values)
    const position = until(wanted, manifest)
    const options = { backup, manifest, clock: systemClock, position, id: randomUUID() }
    const isJson = values['json'] === true
    return fill(String(values['to']), { terminal, signal, isJson, what: 'restoring' }, async (to, onProgress) => {
      const task: RestoreOptions = { ...options, to, segmentBytes: DEFAULT_SEGMENT_BYTES, onProgress, signal }
      const restored = await restoreLog(task)
      const dataDir = resolve(String(values['to']))
      if (isJson) terminal.out(JSON.stringify({ dataDir, ...restored }))
      else {
        const { events, streams } = restored
        const counts = `${counted(events, 'event')} in ${counted(streams, 'stream')}`
        terminal.out(`${dataDir}: ${counts}, up to ${describe(position)}`)
        if (events === 0) terminal.err(`notice: ${nothingIn(wanted)}`)
      }
    })
  },
}

/** @throws UsageError where that is no position of the backup */
function until(wanted: number | undefined, { position, time }: Manifest): number {
  if (wanted === undefined) return position
  if (wanted <= position) return wanted
  const made = new Date(time).toISOString()
  throw new UsageError(
    `the backup was made at ${made} and goes up to ${describe(position)}`,
    'give a position or a time that is not later, or a later backup',
  )
}

/** So that nobody takes an empty log for what they wanted. */
function nothingIn(wanted: number | undefined): string {
  if (wanted === undefined) return 'the backup has no events, and so the restored log has none'
  return `the restored log is empty: every event of the backup is later than ${describe(wanted)}. If that is not what you wanted, remove the folder and restore to a later moment.`
}

/** The position that the words name; undefined where they name none. @throws UsageError */
export function untilOf({ 'to-position': position, 'to-time': time }: Values): number | undefined {
  if (position !== undefined && time !== undefined) {
    throw new UsageError('there are both --to-position and --to-time', 'give one of them')
  }
  if (typeof time === 'string') {
    const ms = /^\d{4}-\d{2}-\d{2}T.*(?:Z|[+-]\d{2}:\d{2})$/.test(time) ? Date.parse(time) : Number.NaN
    if (Number.isNaN(ms)) throw new UsageError(`'${time}' is no time with its zone`, 'give one as 2026-03-01T12:00:00Z')
    return Math.max(0, lastPositionAt(ms))
  }
  return typeof position === 'string' ? positionOf(position) : undefined
}

export function positionOf(text: string): number {
  const position = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(position)) throw new UsageError(`'${text}' is no position`, 'give a whole number')
  return position
}

export function describe(position: number): string {
  if (position === 0) return 'position 0'
  return `position ${position} (${new Date(timeOfPosition(position)).toISOString()})`
}

interface Filling {
  readonly terminal: Terminal
  readonly signal: AbortSignal
  readonly isJson: boolean
  /** What is done, as `restoring`. */
  readonly what: string
}

/** Has a folder that is empty made a data directory, while nobody else does. */
export async function fill(
  folder: string,
  { terminal, signal, isJson, what }: Filling,
  work: (to: FileStorage, onProgress: (done: number, total: number) => void) => Promise<void>,
): Promise<Exit> {
  const dataDir = resolve(folder)
  if (fs.existsSync(dataDir) && fs.readdirSync(dataDir).length > 0) {
    throw new UsageError(`${dataDir} is not empty`, 'give a folder that is empty, or not there')
  }
  makeDirectory(dataDir)
  const onWarning = (message: string): void => terminal.err(message)
  const unlock = await lockDirectory({ dataDir, clock: systemClock, onWarning })
  const { show, end } = createProgress(terminal, what)
  try {
    await work(new FileStorage(dataDir, pooled), show).finally(end)
    return Exit.ok
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error
    const isBegun = fs.readdirSync(dataDir).some((name) => name !== 'lock')
    const left = `${dataDir} is not whole, and no node starts on it: remove it, and begin anew`
    complain(terminal, { message: `interrupted; ${isBegun ? left : 'nothing was written'}` }, isJson)
    return Exit.interrupted
  } finally {
    await unlock()
  }
}
