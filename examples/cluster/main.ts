/**
 * `npm run cluster`: the service desk on three nodes over one data directory and a Redis of its own. In the middle one node
 * is killed, a fourth joins and goes on where the dead one was, and another leaves. `--help` tells the options.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Arguments } from '../incidents/arguments.ts'
import { generateIncidents, type Truth } from '../incidents/generated.ts'
import type { Replies } from '../incidents/intake.ts'
import { ExpectedReadModels } from '../incidents/read-models/expected.ts'
import type { ReadModels } from '../incidents/read-models/read-models.ts'
import { differences, HAS_OTHERS, hasOthers, toJson, toTable, toTables, wrongReadModels } from '../incidents/report.ts'
import type { Numbers } from '../incidents/runner.ts'
import { openCsv } from '../incidents/rows.ts'
import { runExample } from '../incidents/run-example.ts'
import type { Tally } from '../incidents/tally.ts'
import { isIncidentState } from '../incidents/workflow.ts'
import type { Job, Taken } from './message.ts'
import { NodeProcess } from './node-process.ts'
import { startRedis } from './redis.ts'

const PARTS = 3
const HELP = `Runs the service desk of npm run demo on three nodes: one is killed, a fourth joins, another leaves.

  npm run cluster [-- --input FILE | --incidents N --seed N] [--data DIR] [--json]

See npm run demo -- --help for the options. Needs redis-server.`

/** The longest wait of any caller while something happened. */
interface Pause {
  readonly what: string
  readonly ms: number
}

async function main(args: Arguments): Promise<number> {
  const dataDir = args.dataDir ?? (await mkdtemp(join(tmpdir(), 'penhold-cluster-')))
  try {
    await using redis = await startRedis()
    await using crew = new Crew({ dataDir, redis: redis.url, isQuiet: args.isJson })
    const job = { input: args.input, incidents: args.incidents, seed: args.seed, parts: PARTS }
    const foreseen = await foresee(job)
    const startedAt = performance.now()
    const taken = await crew.drive(job, foreseen.rows)
    const seconds = (performance.now() - startedAt) / 1000
    const tally = await crew.tally(taken.flatMap(({ numbers }) => numbers))
    const numbers = summary({ taken, tally, seconds })
    const told = await crew.readModels(Math.max(...taken.map(({ position }) => position)))
    const text = args.isJson
      ? toJson(numbers, told[0]!)
      : ['', toTable(numbers), toTables(told[0]!), describe(crew.pauses), ''].join('\n\n')
    console.log(text)
    const wrong = complaints({ numbers, told, foreseen })
    for (const difference of wrong) console.error(`wrong: ${difference}`)
    return wrong.length === 0 ? 0 : 1
  } finally {
    if (args.dataDir === undefined) await rm(dataDir, { recursive: true, force: true })
  }
}

/** The nodes, and what is done to them. */
class Crew implements AsyncDisposable {
  readonly pauses: Pause[] = []
  readonly #options: { readonly dataDir: string; readonly redis: string; readonly isQuiet: boolean }
  #nodes: NodeProcess[] = []
  #started = 0

  constructor(options: { readonly dataDir: string; readonly redis: string; readonly isQuiet: boolean }) {
    this.#options = options
  }

  /** Takes all rows in, while nodes die, come and go. */
  async drive(job: Omit<Job, 'part'>, total: number): Promise<readonly Taken[]> {
    const [first, second, third] = [await this.#start(), await this.#start(), await this.#start()]
    const taking = [first, second].map((node, part) => node.take({ ...job, part }))
    const doomed = third.take({ ...job, part: 2 }).catch(() => undefined)
    await this.#until(() => this.#rows() > total * 0.25)
    await this.#watch('a node was killed', async () => {
      third.kill()
      await doomed
      this.#nodes = this.#nodes.filter((node) => node !== third)
      await this.#until(() => this.#rows() > total * 0.45)
    })
    await this.#watch('a fourth node joined', async () => {
      const fourth = await this.#start()
      // What the dead one had taken in is there: its rows have no second effect.
      taking.push(fourth.take({ ...job, part: 2 }))
      await this.#until(() => this.#rows() > total * 0.7)
    })
    await taking[0]
    await this.#watch('a node left', async () => {
      await first.close()
      this.#nodes = this.#nodes.filter((node) => node !== first)
    })
    return await Promise.all(taking)
  }

  async tally(numbers: readonly string[]): Promise<Tally> {
    return this.#nodes[0]!.tally(numbers)
  }

  /** Of each node, whichever of them runs the projections. */
  async readModels(after: number): Promise<readonly ReadModels[]> {
    return await Promise.all(this.#nodes.map((node) => node.readModels(after)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes) await node.close()
  }

  async #start(): Promise<NodeProcess> {
    const { dataDir, redis } = this.#options
    this.#started += 1
    const node = await NodeProcess.start({ dataDir, redis, name: `node-${this.#started}` })
    this.#nodes.push(node)
    return node
  }

  #rows(): number {
    return this.#nodes.reduce((sum, { rows }) => sum + rows, 0)
  }

  async #watch(what: string, work: () => Promise<void>): Promise<void> {
    if (!this.#options.isQuiet) console.error(what)
    for (const node of this.#nodes) node.slowestMs = 0
    await work()
    this.pauses.push({ what, ms: Math.max(...this.#nodes.map(({ slowestMs }) => slowestMs)) })
  }

  /** Resolves when it is so, or nobody has anything left to do. */
  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo() && this.#nodes.some(({ isTaking }) => isTaking)) await new Promise((go) => setTimeout(go, 20))
  }
}

interface Foreseen {
  readonly rows: number
  /** Of rows that are made up. */
  readonly truth: Readonly<Truth> | undefined
  readonly readModels: ReadModels
}

/** What the rows will come to. */
async function foresee(job: Omit<Job, 'part'>): Promise<Foreseen> {
  const generated = job.input === undefined ? generateIncidents(job) : undefined
  await using source = generated ?? (await openCsv(job.input!))
  const expected = new ExpectedReadModels()
  let rows = 0
  for await (const row of source.rows) {
    rows += 1
    if (isIncidentState(row.report.state)) expected.add(row)
  }
  return { rows, truth: generated?.truth, readModels: expected.readModels() }
}

/** What is not as foreseen, at any of the nodes. Of a file nobody can tell: which of its rows are refused is the nodes' to say. */
function complaints(given: {
  readonly numbers: Numbers
  readonly told: readonly ReadModels[]
  readonly foreseen: Foreseen
}): readonly string[] {
  const { truth, readModels } = given.foreseen
  if (truth === undefined) return []
  if (given.told.some((found) => hasOthers(found, readModels))) console.error(HAS_OTHERS)
  return [...differences(given.numbers, truth), ...given.told.flatMap((found) => wrongReadModels(found, readModels))]
}

function summary(given: {
  readonly taken: readonly Taken[]
  readonly tally: Tally
  readonly seconds: number
}): Numbers {
  const { taken, tally, seconds } = given
  const replies = taken.map((each) => each.replies)
  const sum = (of: (each: Replies) => number): number => replies.reduce((total, each) => total + of(each), 0)
  const rejections: Record<string, number> = {}
  for (const each of replies) {
    for (const [rule, count] of Object.entries(each.rejections)) rejections[rule] = (rejections[rule] ?? 0) + count
  }
  const commands = sum((each) => each.commands)
  return {
    rows: sum(({ rows }) => rows),
    commands,
    accepted: sum(({ accepted }) => accepted),
    rejected: sum(({ rejected }) => rejected),
    rejections,
    ...tally,
    seconds: Math.round(seconds * 1000) / 1000,
    commandsPerSecond: Math.round(commands / seconds),
  }
}

function describe(pauses: readonly Pause[]): string {
  const rows = pauses.map(({ what, ms }) => `  ${what.padEnd(24)}${Math.round(ms).toLocaleString('en').padStart(7)} ms`)
  return `  the longest that any caller waited while\n${rows.join('\n')}`
}

process.exitCode = await runExample({ help: HELP, main })
