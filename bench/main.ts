/** `npm run bench`: measures Penhold beside what the disk and the encoder give, in one run, and prints one table. */
import fs from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureCluster } from './cluster.ts'
import { measureColdCommands } from './cold-command.ts'
import { measureColdLoads } from './cold-load.ts'
import { Dataset, type DatasetPlan } from './dataset.ts'
import { describeMachine } from './machine.ts'
import { measureOutbox } from './outbox.ts'
import { measureReadAll } from './read-all.ts'
import { measureProjections } from './projection.ts'
import { measureReactor } from './reactor.ts'
import { measureReplay } from './replay.ts'
import { formatTable, type Row } from './report.ts'
import { measureRounds } from './rounds.ts'
import { measureStarts } from './startup.ts'
import { measureTimers } from './timers.ts'

const ROWS = ['raw', 'W1', 'W2', 'W3', 'R', 'L', 'S', 'C', 'A', 'P', 'E', 'O', 'T', 'N1', 'N3', 'Ngone'] as const
type RowId = (typeof ROWS)[number]

const HELP = `Usage: npm run bench -- [options]

  --only W1,W2,…  some rows: ${ROWS.join(', ')}; N is all that begin so, as W is. Raw is measured with any of W1 to W3
  --quick         small sizes and short phases: shows that all of it runs, and no figure to rely on
  --json          one JSON object instead of the table
  --data DIR      where the logs are made: on the disk to be measured, with 4 GB free. The big log stays there for the
                  next run. Default: a folder in bench/.tmp that is removed at the end
  --compare       W1 to W3 on the peers of bench/compare as well
  --help          this text

Exits with 1 where a log does not hold what was acknowledged. A target that is missed is said in the table.`

interface Sizes {
  readonly rounds: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly goneSeconds: number
  readonly plan: DatasetPlan
  /** For R once more: as many accounts as W1 has, so that their states are at hand. */
  readonly fewPlan: DatasetPlan
}

const FULL: Sizes = {
  rounds: 3,
  seconds: 3,
  warmUpSeconds: 1,
  goneSeconds: 60,
  plan: { aggregates: 1_000_000, eventsBetween: 999, lastSegmentFill: 0.9 },
  fewPlan: { aggregates: 1_000, eventsBetween: 299, lastSegmentFill: 0 },
}
const QUICK: Sizes = {
  rounds: 1,
  seconds: 0.5,
  warmUpSeconds: 0.5,
  goneSeconds: 4,
  plan: { aggregates: 20_000, eventsBetween: 20, lastSegmentFill: 0 },
  fewPlan: { aggregates: 1_000, eventsBetween: 10, lastSegmentFill: 0 },
}

interface Options {
  readonly only: ReadonlySet<RowId>
  readonly sizes: Sizes
  readonly isJson: boolean
  readonly dataDir: string | undefined
  readonly compares: boolean
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      data: { type: 'string' },
      compare: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  if (values.compare && !fs.existsSync(join(import.meta.dirname, 'compare', 'node_modules'))) {
    throw new Error('--compare needs the packages of the peers: run `npm ci --prefix bench/compare` first.')
  }
  return {
    only: new Set(values.only === undefined ? ROWS : values.only.split(',').flatMap(rowIds)),
    sizes: values.quick ? QUICK : FULL,
    isJson: values.json,
    dataDir: values.data,
    compares: values.compare,
  }
}

/** The row of this name, or all that begin with it. */
function rowIds(text: string): readonly RowId[] {
  const rows = ROWS.filter((known) => text !== '' && known.startsWith(text))
  if (rows.length === 0) throw new Error(`--only knows no row '${text}'. It knows: ${ROWS.join(', ')}.`)
  return rows
}

async function measure(dir: string, { only, sizes, dataDir, compares }: Options): Promise<Row[]> {
  const rows: Row[] = []
  if (compares || ['raw', 'W1', 'W2', 'W3'].some((id) => only.has(id as RowId))) {
    rows.push(...(await measureRounds({ dir, ...sizes, workloads: only })))
  }
  if (compares) {
    // Not before: a checkout without the peers must be able to run all else.
    const { measurePeers } = await import('./peers.ts')
    rows.push(...(await measurePeers(dir, sizes.seconds, rows)))
  }
  if (['N1', 'N3', 'Ngone'].some((id) => only.has(id as RowId))) {
    rows.push(...(await measureCluster({ dir, ...sizes, only })))
  }
  if (only.has('E')) rows.push(...(await measureReactor(dir)))
  if (only.has('T')) rows.push(...(await measureTimers({ dir, ...sizes })))
  if (!['R', 'L', 'S', 'C', 'A', 'P', 'O'].some((id) => only.has(id as RowId))) return rows
  const dataset = await Dataset.open(dataDir ?? dir, dir, sizes.plan)
  if (only.has('R')) {
    const few = await Dataset.open(dataDir ?? dir, dir, sizes.fewPlan)
    rows.push(...(await measureReplay(few)), ...(await measureReplay(dataset)))
  }
  if (only.has('L')) rows.push(...(await measureColdLoads(dataset)))
  if (only.has('S')) rows.push(...(await measureStarts(dataset)))
  if (only.has('C')) rows.push(...(await measureColdCommands(dataset, sizes)))
  if (only.has('A')) rows.push(...(await measureReadAll(dataset, dir)))
  if (only.has('P')) rows.push(...(await measureProjections(dataset, sizes)))
  if (only.has('O')) rows.push(...(await measureOutbox(dataset)))
  return rows
}

async function main(): Promise<void> {
  const options = readOptions()
  if (options === undefined) return console.log(HELP)
  const parent = options.dataDir ?? join(import.meta.dirname, '.tmp')
  fs.mkdirSync(parent, { recursive: true })
  const dir = fs.mkdtempSync(join(parent, 'run-'))
  process.once('exit', () => fs.rmSync(dir, { recursive: true, force: true }))
  const machine = describeMachine(dir)
  const rows = await measure(dir, options)
  const report = { date: new Date().toISOString(), machine, rows }
  console.log(options.isJson ? JSON.stringify(report) : formatTable(report))
}

// Leaving through `exit` removes the logs; a signal's default would leave them behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
try {
  await main()
} catch (error) {
  console.error(error)
  process.exit(1)
}
