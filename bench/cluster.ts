/**
 * N: several nodes on this machine. What a command costs whose account another node has, beside one whose account is here;
 * and what three nodes over one data directory do together, beside one that is alone.
 */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startRedis, type RedisProcess } from '../test/redis-server.ts'
import type { Book, Job, Where } from './cluster-node.ts'
import { atLeast, atMost, say, type Row } from './report.ts'
import { median, type Figures } from './sample.ts'

export interface ClusterOptions {
  readonly dir: string
  readonly rounds: number
  readonly seconds: number
  readonly warmUpSeconds: number
  /** How long Redis is gone. */
  readonly goneSeconds: number
  /** Of N1, N3 and Ngone. */
  readonly only: ReadonlySet<string>
}

const ACCOUNTS = 1_000
const IN_FLIGHT = 256
const NODES = 3
const SHARDS = 64
/** Files that need no disk, so that a sync costs nothing. */
const MEMORY = '/dev/shm'
const SETTLED_MS = 30_000
/** Each process compiles its own code, and they share the processors. */
const WARM_UPS = 5
/** In each round, of what is compared: short ones, one right after the other, as the host is not equally busy for long. */
const TURNS = 6
const WHERES = ['here', 'elsewhere'] as const
const WHICH = ['alone', 'together'] as const
type Which = (typeof WHICH)[number]

class NodeProcess {
  readonly #child = fork(fileURLToPath(new URL('cluster-node.ts', import.meta.url)), {
    execArgv: ['--expose-gc'],
    serialization: 'advanced',
  })
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #count = 0

  constructor() {
    const kill = (): void => this.kill()
    process.once('exit', kill)
    this.#child.on('message', ({ number, value, error }: { number: number; value: unknown; error?: string }) => {
      if (error === undefined) this.#waiting.get(number)?.resolve(value)
      else this.#waiting.get(number)?.reject(new Error(error))
      this.#waiting.delete(number)
    })
    this.#child.once('exit', (code, signal) => {
      process.off('exit', kill)
      for (const { reject } of this.#waiting.values()) reject(new Error(`a node ended with ${signal ?? code}`))
    })
  }

  async ask<Result = void>(job: Job): Promise<Result> {
    this.#count += 1
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(this.#count, waiting)
    this.#child.send({ number: this.#count, job })
    return (await waiting.promise) as Result
  }

  async close(): Promise<void> {
    await this.ask({ kind: 'close' })
    this.kill()
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

/** @throws AssertionError where what is stored is not what was acknowledged */
export async function measureCluster(options: ClusterOptions): Promise<Row[]> {
  const redis = await startRedis()
  try {
    return [
      ...(options.only.has('N1') ? await remoteRows(options, redis.url) : []),
      ...(options.only.has('N3') ? [await threeNodesRow(options, redis.url)] : []),
      ...(options.only.has('Ngone') ? [await goneRow(options, redis)] : []),
    ]
  } finally {
    await redis.stop()
  }
}

async function remoteRows({ rounds, seconds, warmUpSeconds }: ClusterOptions, redis: string): Promise<Row[]> {
  if (!fs.existsSync(MEMORY)) {
    say(`N1 is left out: there is no ${MEMORY}, so that no ask is without the disk's sync`)
    return []
  }
  const dir = fs.mkdtempSync(join(MEMORY, 'penhold-bench-'))
  const remove = (): void => fs.rmSync(dir, { recursive: true, force: true })
  process.once('exit', remove)
  const nodes = await startNodes(2, { dataDir: join(dir, 'remote'), redis })
  const [asking] = nodes
  const measured = { here: [] as Figures[], elsewhere: [] as Figures[] }
  const run = (where: Where, howLong: number): Promise<Figures> =>
    asking!.ask({ kind: 'drive', inFlight: 1, seconds: howLong, where })
  await asking!.ask({ kind: 'open' })
  await run('here', warmUpSeconds)
  await run('elsewhere', warmUpSeconds)
  for (let number = 1; number <= rounds; number += 1) {
    say(`N1: round ${number} of ${rounds}`)
    for (const where of inTurns(WHERES)) measured[where].push(await run(where, seconds / 2))
  }
  for (const node of nodes) await node.close()
  remove()
  process.off('exit', remove)
  const ratio = median(measured.elsewhere.map(({ p50Ms }, i) => p50Ms / measured.here[i]!.p50Ms))
  const target = atMost(ratio, 2.5, `2.50 × N1 here: ${ratio.toFixed(2)}`)
  const latency = (where: 'here' | 'elsewhere'): Row['figure'] => ({
    kind: 'latency',
    p50Ms: median(measured[where].map(({ p50Ms }) => p50Ms)),
    p99Ms: median(measured[where].map(({ p99Ms }) => p99Ms)),
  })
  return [
    { id: 'N1 here', what: '1 in flight, the shard on this node, in memory', figure: latency('here') },
    { id: 'N1 elsewhere', what: 'the shard on another node', figure: latency('elsewhere'), target, details: { ratio } },
  ]
}

async function threeNodesRow(options: ClusterOptions, redis: string): Promise<Row> {
  const rates: Record<Which, number[]> = { alone: [], together: [] }
  for (let number = 1; number <= options.rounds; number += 1) {
    say(`N3: round ${number} of ${options.rounds}`)
    const round = await measureNodes(options, redis)
    for (const which of WHICH) rates[which].push(...round[which])
  }
  const ratio = median(rates.together.map((rate, i) => rate / rates.alone[i]!))
  const perSecond = median(rates.together)
  const alone = median(rates.alone)
  return {
    id: 'N3',
    what: `${NODES} nodes, each asking all of ${ACCOUNTS.toLocaleString('en')} accounts, ${IN_FLIGHT} in flight in all`,
    figure: { kind: 'rate', perSecond },
    target: atLeast(
      ratio,
      0.6,
      `0.60 × one node with ${Math.round(alone).toLocaleString('en')} /s: ${ratio.toFixed(2)}`,
    ),
    details: { ratio, alone, rounds: rates.together, roundsAlone: rates.alone },
  }
}

/** Commands a second, of one node and of several by turns: both are there all the time, and made anew for each round. */
async function measureNodes(
  { dir, seconds, warmUpSeconds }: ClusterOptions,
  redis: string,
): Promise<Record<Which, number[]>> {
  const places = { alone: { dataDir: join(dir, 'alone') }, together: { dataDir: join(dir, 'together'), redis } }
  const nodes = { alone: await startNodes(1, places.alone), together: await startNodes(NODES, places.together) }
  for (const which of WHICH) {
    await nodes[which][0]!.ask({ kind: 'open' })
    await driveAll(nodes[which], WARM_UPS * warmUpSeconds)
  }
  const rates: Record<Which, number[]> = { alone: [], together: [] }
  for (const which of inTurns(WHICH)) rates[which].push(sumOf(await driveAll(nodes[which], seconds / 2)))
  for (const which of WHICH) await closeAndVerify(nodes[which], places[which])
  return rates
}

/** A command that fails ends the run. */
async function goneRow({ dir, warmUpSeconds, goneSeconds }: ClusterOptions, redis: RedisProcess): Promise<Row> {
  say(`N gone: Redis for ${goneSeconds} s`)
  const place = { dataDir: join(dir, 'gone'), redis: redis.url }
  const nodes = await startNodes(NODES, place)
  const rate = async (seconds: number): Promise<number> => sumOf(await driveAll(nodes, seconds))
  await nodes[0]!.ask({ kind: 'open' })
  await rate(WARM_UPS * warmUpSeconds)
  const before = await rate(goneSeconds / 2)
  await redis.kill()
  const gone = await rate(goneSeconds)
  await redis.restart()
  // What it has forgotten, it is told again.
  await rate(warmUpSeconds)
  const after = await rate(goneSeconds / 2)
  await closeAndVerify(nodes, place)
  const ratio = (2 * gone) / (before + after)
  return {
    id: 'N gone',
    what: `the same, while Redis is gone for ${goneSeconds} s`,
    figure: { kind: 'rate', perSecond: gone },
    target: atLeast(ratio, 0.9, `0.90 × before and after: ${ratio.toFixed(2)}`),
    details: { ratio, before, after },
  }
}

interface Place {
  readonly dataDir: string
  /** Without it the node is alone. */
  readonly redis?: string
}

/** Each as often, one right after the other, and first in every other turn. */
function* inTurns<Each>(all: readonly Each[]): Generator<Each> {
  for (let turn = 0; turn < TURNS; turn += 1) yield* turn % 2 === 0 ? all : all.toReversed()
}

function sumOf(figures: readonly Figures[]): number {
  return figures.reduce((sum, { perSecond }) => sum + perSecond, 0)
}

/** All accounts asked from all nodes, with IN_FLIGHT in all. */
function driveAll(nodes: readonly NodeProcess[], seconds: number): Promise<Figures[]> {
  return Promise.all(
    nodes.map((node, i) => {
      const inFlight = Math.floor(IN_FLIGHT / nodes.length) + (i < IN_FLIGHT % nodes.length ? 1 : 0)
      return node.ask<Figures>({ kind: 'drive', inFlight, seconds, where: 'anywhere' })
    }),
  )
}

async function closeAndVerify(nodes: readonly NodeProcess[], place: Place): Promise<void> {
  const books = await Promise.all(nodes.map((node) => node.ask<Book>({ kind: 'book' })))
  for (const node of nodes) await node.close()
  await verify(books, place)
  fs.rmSync(place.dataDir, { recursive: true, force: true })
}

async function verify(books: readonly Book[], place: Place): Promise<void> {
  const [reader] = await startNodes(1, place)
  const found = await reader!.ask<Book>({ kind: 'look' })
  const acknowledged = found.map((_, i) => [
    books.reduce((sum, book) => sum + book[i]![0], 0),
    books.reduce((sum, book) => sum + book[i]![1], 0),
  ])
  assert.deepEqual(found, acknowledged, 'the accounts are not what was acknowledged')
  await reader!.close()
}

/** Resolves when each has its share of the shards. */
async function startNodes(count: number, place: Place): Promise<NodeProcess[]> {
  const nodes = Array.from({ length: count }, () => new NodeProcess())
  for (const [i, node] of nodes.entries()) {
    const overrides = { ...place, shards: SHARDS }
    await node.ask({ kind: 'start', overrides, accounts: ACCOUNTS, seed: i + 1 })
  }
  const until = performance.now() + SETTLED_MS
  for (;;) {
    const counts = await Promise.all(nodes.map((node) => node.ask<number>({ kind: 'count' })))
    const share = Math.floor(SHARDS / count)
    if (counts.every((shards) => shards >= share) && counts.reduce((sum, shards) => sum + shards) === SHARDS)
      return nodes
    if (performance.now() > until) throw new Error(`${count} nodes did not divide the shards: ${counts.join(', ')}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
