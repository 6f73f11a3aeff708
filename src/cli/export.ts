/** `penhold export`: events as lines of JSON. */
import fs from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pause } from '../log/clock.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { systemClock } from '../platform/system.ts'
import { openTextFile, standardOutput, type TextOutput } from '../platform/text-files.ts'
import { exportLines, type ExportOptions } from '../read/export.ts'
import { Exit, UsageError, type Command, type Values } from './command.ts'
import { DIRECTORY_HELP, DIRECTORY_OPTIONS, findDataDirectory } from './data-directory.ts'
import { counted } from './report.ts'
import { positionOf, UNTIL_HELP, UNTIL_OPTIONS, untilOf } from './restore.ts'

const PAUSE_MS = 50

export const exportEvents: Command = {
  summary: 'writes events as lines of JSON',
  help: `Writes events as lines of JSON (NDJSON): one event a line, in the order of their positions, as they were recorded. Nodes
may run on the directory; nothing is written there. How many there are is told on stderr.

  penhold export [--to FILE] [--data DIR | --config FILE] [--from-position P]
                 [--to-position P | --to-time TIME] [--type TYPE]…

  --to FILE         where to, instead of the standard output: there whole, or not at all
${DIRECTORY_HELP}
  --from-position P from this position on
${UNTIL_HELP}
  --type TYPE       events of this type, as MoneyDeposited or account/MoneyDeposited; may be repeated
  --json            tell how many there are, and failures, as JSON objects on stderr
  --help            print this

The fields: position, id, stream, version, time (ISO 8601), type, typeVersion, data, metadata, commandId, payloadHash.
In data and metadata bytes are {"$bytes": BASE64}, bigints {"$bigint": "12"}, numbers that JSON has not
{"$number": "NaN"}; an object that would look like that is {"$object": {…}}.

Exit code: 0 all is written, 1 something could not be read or written, 2 usage, 130 interrupted.`,
  options: {
    ...DIRECTORY_OPTIONS,
    ...UNTIL_OPTIONS,
    to: { type: 'string' },
    'from-position': { type: 'string' },
    type: { type: 'string', multiple: true },
  },
  async run(values, terminal, signal) {
    const range = rangeOf(values)
    const storage = new FileStorage(await findDataDirectory(values), pooled)
    const output = await openOutput(values['to'])
    const wait = (): Promise<void> => pause(systemClock, PAUSE_MS)
    let events = 0
    try {
      for await (const { text, count } of exportLines({ storage, clock: systemClock, pause: wait, signal, ...range })) {
        await output.write(text)
        events += count
      }
      await output.finish()
    } catch (error) {
      await output.discard()
      // Whoever read has seen enough.
      if ((error as NodeJS.ErrnoException).code === 'EPIPE') return Exit.ok
      throw error
    }
    terminal.err(values['json'] === true ? JSON.stringify({ events }) : counted(events, 'event'))
    return Exit.ok
  },
}

function rangeOf(values: Values): Pick<ExportOptions, 'from' | 'until' | 'types'> {
  const { 'from-position': from, type } = values
  const until = untilOf(values)
  return {
    ...(typeof from === 'string' && { from: positionOf(from) }),
    ...(until !== undefined && { until }),
    ...(Array.isArray(type) && { types: type.map(String) }),
  }
}

async function openOutput(to: Values[string]): Promise<TextOutput> {
  if (typeof to !== 'string') return standardOutput()
  const path = resolve(to)
  if (!fs.existsSync(dirname(path)))
    throw new UsageError(`there is no folder ${dirname(path)}`, 'make it, or give another')
  return openTextFile(path)
}
