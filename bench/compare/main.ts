/**
 * Runs the same work on every peer, one after the other, each workload on a store of its own.
 *
 * Peers are loaded by name while it runs: whoever imports `comparePeers` needs none of their packages, and a peer whose
 * packages are missing is a row that says so.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { PeerUnavailable, type Peer, type PeerModule } from './peer.ts'
import type { MeasuredRow, Row } from './row.ts'
import { formatTable } from './table.ts'
import { runWorkload, workloads, type Bound } from './workload.ts'

const peerFiles = {
  redis: ['redis-streams'],
  sqlite: ['sqlite-transaction', 'sqlite-batch'],
  emmett: ['emmett-sqlite'],
} as const
export type PeerKey = keyof typeof peerFiles

export type CompareOptions = Bound & {
  readonly only?: readonly PeerKey[]
  /** Where the stores are made and removed again. Not the system's temporary folder: it is often kept in memory. */
  readonly dir?: string
  readonly onRow?: (row: Row) => void
}

/** Measures the peers, all or `only` these. Throws where a store does not hold what its peer had acknowledged. */
export async function comparePeers(options: CompareOptions): Promise<Row[]> {
  const rows: Row[] = []
  const keys = options.only ?? (Object.keys(peerFiles) as PeerKey[])
  for (const file of keys.flatMap((key) => peerFiles[key])) rows.push(...(await measure(file, options)))
  return rows
}

/** Runs W1 to W3 on one peer. `comparePeers` does it for each of its own; a caller may add a peer to the same table. */
export async function measurePeer(peer: Peer, options: CompareOptions): Promise<MeasuredRow[]> {
  const rows: MeasuredRow[] = []
  for (const workload of workloads) {
    const row = await inTemporaryFolder(options.dir, (dir) => runWorkload(peer, workload, { ...options, dir }))
    options.onRow?.(row)
    rows.push(row)
  }
  return rows
}

async function measure(file: string, options: CompareOptions): Promise<Row[]> {
  try {
    return await measurePeer(await loadPeer(file), options)
  } catch (error) {
    if (!(error instanceof PeerUnavailable)) throw error
    const row: Row = { kind: 'unavailable', peer: file, reason: error.message }
    options.onRow?.(row)
    return [row]
  }
}

async function loadPeer(file: string): Promise<Peer> {
  try {
    const { createPeer }: PeerModule = await import(`./peers/${file}.ts`)
    return createPeer()
  } catch (cause) {
    const what = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    const advice = 'Run `npm ci`, and for Emmett `npm run build-driver`, in bench/compare.'
    throw new PeerUnavailable(`its packages do not load (${what}). ${advice}`, { cause })
  }
}

async function inTemporaryFolder<Result>(
  parent = join(import.meta.dirname, '.tmp'),
  work: (dir: string) => Promise<Result>,
): Promise<Result> {
  await mkdir(parent, { recursive: true })
  const dir = await mkdtemp(join(parent, 'peer-'))
  try {
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

const help = `Usage: node bench/compare/main.ts [options]

Runs the same bank-account commands on Redis Streams, on SQLite by hand and on Emmett over SQLite.

  --seconds N   how long each row runs at most (3)
  --commands N  how many commands each row runs at most (no bound)
  --seed N      seed of the commands (1)
  --only LIST   some peers, separated by commas: ${Object.keys(peerFiles).join(', ')}
  --dir PATH    where the stores are made and removed again, on the disk to be measured (bench/compare/.tmp)
  --json        one JSON object instead of the table
  --help        this text

Exits with 1 where a store does not hold what was acknowledged, or where a peer cannot run.`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '3' },
      commands: { type: 'string' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string' },
      dir: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(help)
  const rows = await comparePeers({
    seconds: positive('seconds', values.seconds),
    seed: positive('seed', values.seed),
    onRow: reportProgress,
    ...(values.commands === undefined ? {} : { commandsMax: positive('commands', values.commands) }),
    ...(values.only === undefined ? {} : { only: values.only.split(',').map(peerKey) }),
    ...(values.dir === undefined ? {} : { dir: values.dir }),
  })
  const json = { node: process.version, processors: availableParallelism(), rows }
  console.log(values.json ? JSON.stringify(json) : formatTable(rows))
  if (rows.some(({ kind }) => kind === 'unavailable')) process.exitCode = 1
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (!(number > 0)) throw new Error(`--${name} wants a number above 0, not '${text}'.`)
  return number
}

function peerKey(text: string): PeerKey {
  if (text in peerFiles) return text as PeerKey
  throw new Error(`--only knows no peer '${text}'. It knows: ${Object.keys(peerFiles).join(', ')}.`)
}

/** On the error stream, so that what is on the output is the table or the JSON object and nothing else. */
function reportProgress(row: Row): void {
  if (row.kind === 'unavailable') return console.error(`${row.peer}: not available`)
  console.error(`${row.peer}, ${row.workload}: ${row.accepted} accepted, ${row.eventsVerified} events verified`)
}

if (import.meta.main) {
  // Leaving through `exit` lets a peer end the server it started; a signal's default would leave it behind.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  try {
    await main()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    // At once, and not only as an exit code: a server that a failed peer left behind would keep the process alive.
    process.exit(1)
  }
}
