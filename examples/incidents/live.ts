/**
 * `npm run incidents`: the service desk at work, with what its events set in motion: escalations, mails, and messages about
 * breaches. A day of the desk passes in half a second. `--help` tells the options.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startNode, type Node } from '../../src/index.ts'
import { startRedis } from '../cluster/redis.ts'
import type { Arguments } from './arguments.ts'
import { openDataDir } from './data-dir.ts'
import { DemoError } from './demo-error.ts'
import { generateIncidents } from './generated.ts'
import { Intake, type IntakeOptions } from './intake.ts'
import { MailServer } from './mail/server-process.ts'
import { expectedOf, msOf } from './reactions/expected.ts'
import { findingsOf, readBreaches, readEscalations, toTable, wrongFindings } from './reactions/findings.ts'
import { openCsv, type Row, type Source } from './rows.ts'
import { runExample } from './run-example.ts'

const CONFIG = new URL('cluster.config.ts', import.meta.url)
const HELP = `Runs a service desk whose events set things in motion: an incident that waits for too long is escalated, mails
go out when one is closed, and breaches are published to a Redis Stream.

  npm run incidents [-- OPTIONS]

  --input FILE, --data DIR, --incidents N (default: 500), --seed N, --json   as of npm run demo

A mail server of its own takes the mails, and a redis-server, where there is one, the messages.
REDIS_URL names one that is there; with --data it has to, as what was published is not published again.
DESK_HOUR_MS says how many milliseconds an hour of the desk takes (default: 100).
After two weeks of its own the desk is left alone.`
const INCIDENTS = 500
/** Of the desk. */
const DAYS = 14
const LOOK_MS = 50
const SETTLED_MS = 60_000
const OK = 0
const FAILED = 1
const INTERRUPTED = 130

async function main(args: Arguments): Promise<number> {
  const hourMs = readHourMs()
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  await using data = await openDataDir(args.dataDir)
  await using mailServer = await MailServer.start(join(data.path, 'mails.jsonl'))
  await using redis = await maybeRedis(args.dataDir !== undefined)
  // The config reads them, also in workers.
  Object.assign(process.env, { DESK_HOUR_MS: hourMs, SMTP_URL: mailServer.url, ...(redis && { REDIS_URL: redis.url }) })
  await using source = args.input === undefined ? generateIncidents(args) : await openCsv(args.input)
  await using node = await startNode(CONFIG, { dataDir: data.path })
  const startedMs = performance.now()
  const { rows, unconfirmed } = await play(node, source, { hourMs, signal: stop.signal })
  if (stop.signal.aborted) return INTERRUPTED
  const expected = expectedOf(rows, msOf(rows.at(-1)!))
  await settled(node, expected.goingOn)
  const seconds = (performance.now() - startedMs) / 1000
  const found = findingsOf({
    mails: mailServer.mails(),
    escalations: await readEscalations(node.store),
    breaches: redis && (await readBreaches(redis.url)),
  })
  console.log(args.isJson ? JSON.stringify(found) : `\n${toTable({ found, expected, unconfirmed, rows, seconds })}\n`)
  const wrong = wrongFindings(found, expected)
  for (const difference of wrong) console.error(`wrong: ${difference}`)
  return wrong.length === 0 ? OK : FAILED
}

function readHourMs(): number {
  const { DESK_HOUR_MS: text = '100' } = process.env
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text)
  throw new DemoError(`DESK_HOUR_MS is '${text}'; give a whole number of milliseconds from 1 to 9999999`)
}

interface Played {
  /** Those that were reported. */
  readonly rows: readonly Row[]
  /** Closings whose reply said that the confirmation had not gone out. */
  readonly unconfirmed: number
}

/** Reports each row at its time, until it is stopped. */
async function play(node: Node, source: Source, pace: Pace): Promise<Played> {
  const rows: Row[] = []
  let unconfirmed = 0
  const onAccepted: IntakeOptions['onAccepted'] = (_row, { unsettled }) =>
    (unconfirmed += unsettled === undefined ? 0 : 1)
  await new Intake(node, { onAccepted, signal: pace.signal }).take(atTheirTime(source.rows, rows, pace))
  if (rows.length === 0) throw new DemoError(`${source.name} has no reports`)
  return { rows, unconfirmed }
}

interface Pace {
  readonly hourMs: number
  readonly signal: AbortSignal
}

/** Those that were reported are added to `told`. */
async function* atTheirTime(rows: AsyncIterable<Row>, told: Row[], { hourMs, signal }: Pace): AsyncGenerator<Row> {
  const startedMs = performance.now()
  for await (const row of rows) {
    const hours = (msOf(row) - msOf(told[0] ?? row)) / 3_600_000
    if (hours > DAYS * 24) return
    told.push(row)
    const inMs = startedMs + hours * hourMs - performance.now()
    if (inMs > 0) await sleep(inMs, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return
    yield row
  }
}

/** Resolves once all that has happened has set in motion what it does, and those waits were escalated, or nothing more comes. */
async function settled(node: Node, waits: readonly string[]): Promise<void> {
  for (const untilMs = performance.now() + SETTLED_MS; performance.now() < untilMs; await sleep(LOOK_MS)) {
    const escalated = await readEscalations(node.store)
    const { processes, reactors, outboxes } = await node.status()
    const isLevel = [...processes, ...reactors, ...outboxes].every(({ state }) => state === 'caught up')
    if (isLevel && waits.every((wait) => escalated.includes(wait))) return
  }
}

/** The one that was named, or one of its own, whose messages go with it. */
async function maybeRedis(isKept: boolean): Promise<(AsyncDisposable & { readonly url: string }) | undefined> {
  const url = process.env['REDIS_URL']
  if (url !== undefined) return { url, [Symbol.asyncDispose]: () => Promise.resolve() }
  try {
    if (isKept) throw new DemoError('what is kept with --data needs a Redis that stays; name it in REDIS_URL')
    return await startRedis()
  } catch (error) {
    if (!(error instanceof DemoError)) throw error
    console.error(`nothing is published: ${error.message}`)
    return undefined
  }
}

process.exitCode = await runExample({ help: HELP, incidents: INCIDENTS, main })
