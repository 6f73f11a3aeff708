/** `penhold backup`: copies what a backup does not have yet. */
import { dirname, relative, resolve, sep } from 'node:path'
import { backUp, type Backup } from '../log/backup/backup.ts'
import { pause } from '../log/clock.ts'
import { timeOfPosition } from '../log/position.ts'
import { makeDirectory } from '../node/data-directory.ts'
import { lockDirectory } from '../node/directory-lock.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { systemClock } from '../platform/system.ts'
import { complain } from './complaint.ts'
import { Exit, UsageError, type Command, type Terminal } from './command.ts'
import { DIRECTORY_HELP, DIRECTORY_OPTIONS, findDataDirectory } from './data-directory.ts'
import { createProgress } from './progress.ts'
import { sizeOf } from './report.ts'

/** Between two looks at a log that is being written. */
const PAUSE_MS = 50

export const backup: Command = {
  summary: 'copies the log, while nodes run on it',
  help: `Copies the log into a folder: all that was durable at a moment, up to a position that it says, with the cause of
everything that is in it. Nodes may run on the directory meanwhile; nothing is written there. A folder that has an earlier
backup of the log gets what is new, and one that is interrupted leaves the earlier one as it was.

  penhold backup TO [--data DIR | --config FILE] [--json]

TO is the folder of the backup; it is made where there is none.

${DIRECTORY_HELP}
  --json            print one JSON object and nothing else
  --help            print this

Exit code: 0 it is made, 1 it is made and something of the log is damaged, or it could not be made, 2 usage,
130 interrupted (the earlier backup is as it was).`,
  options: DIRECTORY_OPTIONS,
  operands: ['to'],
  async run(values, terminal, signal) {
    const dataDir = await findDataDirectory(values)
    const folder = resolve(String(values['to']))
    if (isWithin(folder, dataDir)) throw new UsageError(`${folder} is in the data directory`, 'give a folder elsewhere')
    makeDirectory(folder)
    const { show, end } = createProgress(terminal, 'backing up')
    const onWarning = (message: string): void => terminal.err(message)
    const unlock = await lockDirectory({ dataDir: folder, clock: systemClock, onWarning })
    const [from, to] = [new FileStorage(dataDir, pooled), new FileStorage(folder, pooled)]
    const wait = (): Promise<void> => pause(systemClock, PAUSE_MS)
    try {
      const made = await backUp({ from, to, clock: systemClock, pause: wait, onProgress: show, signal }).finally(end)
      await to.removeLeftovers()
      return tell(made, { dataDir, folder, terminal, isJson: values['json'] === true })
    } finally {
      await unlock()
    }
  },
}

interface Telling {
  readonly dataDir: string
  readonly folder: string
  readonly terminal: Terminal
  readonly isJson: boolean
}

function tell(made: Backup, { dataDir, folder, terminal, isJson }: Telling): Exit {
  const { position, bytes, bytesCopied, damages, unopened } = made
  const time = new Date(made.time).toISOString()
  if (isJson) terminal.out(JSON.stringify({ dataDir, backup: folder, ...made, time }))
  else {
    const upTo = `up to position ${position}${position === 0 ? '' : ` (${new Date(timeOfPosition(position)).toISOString()})`}`
    terminal.out(
      `${dataDir} is backed up in ${folder}, ${upTo}: ${sizeOf(bytesCopied)} copied, ${sizeOf(bytes)} in all`,
    )
    for (const shard of unopened) terminal.err(`notice: shard ${shard} was claimed, and not taken over yet`)
    for (const { path, offset, problem } of damages) {
      const message = `${path} at byte ${offset}: ${problem}; it was copied as it is: see penhold verify`
      complain(terminal, { message }, isJson)
    }
  }
  return damages.length === 0 ? Exit.ok : Exit.failed
}

function isWithin(folder: string, parent: string): boolean {
  for (let above = folder; ; above = dirname(above)) {
    if (relative(parent, above) === '') return true
    if (above === dirname(above) || above.split(sep).length < parent.split(sep).length) return false
  }
}
