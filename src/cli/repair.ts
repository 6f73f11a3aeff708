/** `penhold repair`: makes indexes again, and does to other files what it is told to. */
import { relative, resolve, sep } from 'node:path'
import { acceptLosses, mendFile, remakeIndexes, type Repair, type RepairOptions } from '../log/repair.ts'
import { lockDirectory } from '../node/directory-lock.ts'
import { pooled } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { systemClock } from '../platform/system.ts'
import { complain } from './complaint.ts'
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

FILE is a path as 'penhold verify' prints it. Exit code: 0 no damage is left, 1 there is, or something could not be done, 2 usage, 130 interrupted (what was done by
then is told, and stays).`,
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

/** One thing that repair was told to do. */
interface Job {
  /** As it is told where it was not done. */
  readonly what: string
  /** Resolves to nothing where there is nothing that it could do. */
  readonly run: (options: RepairOptions) => Promise<readonly Repair[]>
  /** Why that is no success; undefined where it is. */
  readonly otherwise?: string
}

/** What came of the jobs. */
interface Work {
  readonly repairs: readonly Repair[]
  /** What could not be done, and why. */
  readonly refused: readonly string[]
  /** Not begun, as somebody pressed Ctrl-C. */
  readonly undone: readonly string[]
}

async function repairLocked(task: Task): Promise<Exit> {
  const { dataDir, values, terminal, signal } = task
  const isJson = values['json'] === true
  const jobs = jobsOf(values, dataDir)
  const storage = new FileStorage(dataDir, pooled)
  const before = await walk(storage, terminal, signal)
  const options = { storage, clock: systemClock, identity: before.identity, survey: before.survey }
  const work = await workOff(jobs, options, task)
  const after = await walk(storage, terminal, signal).catch((error: unknown) => {
    if (error !== signal.reason) throw error
    return undefined
  })
  if (isJson) terminal.out(JSON.stringify({ ...work, ...(after && toJson(dataDir, after)) }))
  else {
    if (after !== undefined) terminal.out(toText(dataDir, after))
    for (const message of work.refused) complain(terminal, { message }, isJson)
  }
  if (after === undefined || work.undone.length > 0) return interrupted(work, task)
  return work.refused.length === 0 && after.findings.damages === 0 ? Exit.ok : Exit.failed
}

function interrupted({ repairs, undone }: Work, { terminal, values }: Task): Exit {
  const done = repairs.length === 0 ? 'nothing was changed' : `repaired, and it stays so: ${list(repairs)}`
  const rest = undone.length === 0 ? '' : `; not done: ${undone.join(', ')}`
  const message = `interrupted: ${done}${rest}; penhold verify says what is left`
  complain(terminal, { message }, values['json'] === true)
  return Exit.interrupted
}

function list(repairs: readonly Repair[]): string {
  return repairs.map(({ file }) => file).join(', ')
}

/** One after the other. Each that is done is told at once, whatever becomes of the next. */
async function workOff(
  jobs: readonly Job[],
  options: RepairOptions,
  { values, terminal, signal }: Task,
): Promise<Work> {
  const repairs: Repair[] = []
  const refused: string[] = []
  for (const [i, { run, otherwise }] of jobs.entries()) {
    if (signal.aborted) return { repairs, refused, undone: jobs.slice(i).map(({ what }) => what) }
    const made = await run(options)
    repairs.push(...made)
    if (values['json'] !== true) for (const { file, done } of made) terminal.out(`repaired ${file}: ${done}`)
    if (made.length === 0 && otherwise !== undefined) refused.push(otherwise)
  }
  return { repairs, refused, undone: [] }
}

function jobsOf(values: Values, dataDir: string): readonly Job[] {
  const mends = filesOf(values['mend'], dataDir).map((file) => ({
    what: `--mend ${file}`,
    run: async (options: RepairOptions) => [(await mendFile(options, file)) ?? []].flat(),
    otherwise: `nothing of ${file} can be mended for certain; penhold verify says what can be done`,
  }))
  const losses = filesOf(values['accept-loss'], dataDir).map((file) => ({
    what: `--accept-loss ${file}`,
    run: (options: RepairOptions) => acceptLosses(options, file),
    otherwise: `there is no loss in ${file} that could be accepted; penhold verify says what is damaged`,
  }))
  return [...mends, ...losses, { what: 'the indexes', run: remakeIndexes }]
}

/** As verify prints them: within the data directory, with `/`. */
function filesOf(given: Values[string], dataDir: string): string[] {
  const files = Array.isArray(given) ? (given as readonly string[]) : []
  return files.map((file) => {
    const absolute = resolve(dataDir, file)
    const inside = relative(dataDir, absolute).split(sep).join('/')
    if (inside === '' || inside.startsWith('..'))
      throw new UsageError(`${file} is not in ${dataDir}`, 'give the path that penhold verify prints')
    return inside
  })
}
