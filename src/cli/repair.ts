/** `penhold repair`: makes indexes again, and does to other files what it is told to. */
import { relative, resolve, sep } from 'node:path'
import { acceptLosses, mendFile, remakeIndexes, type Repair, type RepairOptions } from '../log/repair.ts'
import { lockDirectory } from '../node/directory-lock.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { systemClock } from '../platform/system.ts'
import { Exit, UsageError, type Command, type Terminal, type Values } from './command.ts'
import { DIRECTORY_HELP, DIRECTORY_OPTIONS, findDataDirectory } from './data-directory.ts'
import { toJson, toText } from './report.ts'
import { walk } from './verify.ts'

export const repair: Command = {
  summary: 'makes indexes again; mends what it is told to',
  help: `Makes indexes again that are missing or damaged, and does to other files what it is told to. No node may run on
the directory. Verifies before and after.

  penhold repair [--data DIR | --config FILE] [--mend FILE]… [--accept-loss FILE]… [--json]

${DIRECTORY_HELP}
  --mend FILE       set right what is known for certain: one flipped bit, or a claim that the log tells.
                    The file as it was is kept under repaired/
  --accept-loss FILE
                    serve what survives of a segment that has no backup. The segment stays as it is;
                    what cannot be read of it is written down as lost, and named
  --json            print one JSON object and nothing else
  --help            print this

FILE is a path as 'penhold verify' prints it. Exit code: 0 no damage is left, 1 there is, 2 usage.`,
  options: {
    ...DIRECTORY_OPTIONS,
    mend: { type: 'string', multiple: true },
    'accept-loss': { type: 'string', multiple: true },
  },
  async run(values, terminal, signal) {
    const dataDir = await findDataDirectory(values)
    const onWarning = (message: string): void => terminal.err(message)
    const unlock = await lockDirectory({ dataDir, clock: systemClock, onWarning })
    try {
      return await repairLocked({ dataDir, values, terminal, signal })
    } finally {
      await unlock()
    }
  },
}

interface Task {
  readonly dataDir: string
  readonly values: Values
  readonly terminal: Terminal
  readonly signal: AbortSignal
}

async function repairLocked({ dataDir, values, terminal, signal }: Task): Promise<Exit> {
  const storage = new FileStorage(dataDir, pooled)
  const isJson = values['json'] === true
  const before = await walk(storage, terminal, signal)
  const options = { storage, clock: systemClock, identity: before.identity, survey: before.survey }
  const repairs: Repair[] = []
  const refused: string[] = []
  for await (const step of work(options, dataDir, values)) {
    if (typeof step === 'string') refused.push(step)
    else repairs.push(step)
    // At once: whatever becomes of the rest, this was done.
    if (typeof step !== 'string' && !isJson) terminal.out(`repaired ${step.file}: ${step.done}`)
  }
  const after = await walk(storage, terminal, signal)
  terminal.out(isJson ? JSON.stringify({ repairs, refused, ...toJson(dataDir, after) }) : toText(dataDir, after))
  if (refused.length > 0) throw new UsageError(refused.join('\n'))
  return after.findings.damages === 0 ? Exit.ok : Exit.failed
}

/** What is done, step by step; of what is not done, why. */
async function* work(options: RepairOptions, dataDir: string, values: Values): AsyncGenerator<Repair | string> {
  const [toMend, toAccept] = [filesOf(values['mend'], dataDir), filesOf(values['accept-loss'], dataDir)]
  for (const file of toMend) {
    yield (await mendFile(options, file)) ?? `nothing of ${file} can be mended for certain; see penhold verify`
  }
  for (const file of toAccept) {
    const accepted = await acceptLosses(options, file)
    if (accepted.length === 0) yield `there is no loss in ${file} that could be accepted; see penhold verify`
    yield* accepted
  }
  yield* await remakeIndexes(options)
}

/** As verify prints them: within the data directory, with `/`. */
function filesOf(given: Values[string], dataDir: string): string[] {
  const files = Array.isArray(given) ? (given as readonly string[]) : []
  return files.map((file) => {
    const absolute = resolve(dataDir, file)
    const inside = relative(dataDir, absolute).split(sep).join('/')
    if (inside === '' || inside.startsWith('..')) throw new UsageError(`${file} is not in ${dataDir}`)
    return inside
  })
}
