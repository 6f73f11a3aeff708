/** `penhold verify`: is everything in the data directory as it was written? */
import { verify as verifyLog, type Verification } from '../log/verify/verify.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { systemClock } from '../platform/system.ts'
import { Exit, type Command, type Terminal } from './command.ts'
import { DIRECTORY_HELP, DIRECTORY_OPTIONS, findDataDirectory } from './data-directory.ts'
import { createProgress } from './progress.ts'
import { toJson, toText } from './report.ts'

export const verify: Command = {
  summary: 'reads the whole log and says what is damaged',
  help: `Reads everything in a data directory and says what is not as it was written: where, what it means for whom, and
what to do. Changes nothing, and may run beside a node.

  penhold verify [--data DIR | --config FILE] [--json]

${DIRECTORY_HELP}
  --json            print one JSON object and nothing else
  --help            print this

Exit code: 0 no damage, 1 damage, 2 usage, 130 interrupted.`,
  options: DIRECTORY_OPTIONS,
  async run(values, terminal, signal) {
    const dataDir = await findDataDirectory(values)
    const verification = await walk(new FileStorage(dataDir, pooled), terminal, signal)
    const isJson = values['json'] === true
    terminal.out(isJson ? JSON.stringify(toJson(dataDir, verification)) : toText(dataDir, verification))
    return verification.findings.damages === 0 ? Exit.ok : Exit.failed
  },
}

/** Verifies, and shows how far it has come. */
export async function walk(storage: FileStorage, terminal: Terminal, signal: AbortSignal): Promise<Verification> {
  const { show, end } = createProgress(terminal, 'verifying')
  return verifyLog({ storage, clock: systemClock, onProgress: show, signal }).finally(end)
}
