import { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import v8 from 'node:v8'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connect, startNode } from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const CONFIG = new URL('cluster.config.ts', import.meta.url)
/** Whatever is kept of somebody has one of these. */
const KINDS: Readonly<Record<string, Function>> = {
  promises: Promise,
  functions: Function,
  lists: Array,
  sockets: Socket,
}
/** Until all that is made once is there. */
const WARM_UP = 10
const CLIENTS = 60
const AT_ONCE = 5
/** What is made once, whenever that may be, is there in the next round; what is kept of clients comes again in each. */
const ROUNDS = 3
/** Of each kind; one kept for each client would be CLIENTS, and so many are the test's own, or will be gone in a moment. */
const KEPT_MAX = CLIENTS / 2

describe.skipIf(!hasRedis)('of clients that have come and gone', { timeout: 240_000 }, () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  test.each(['inline', 1] as const)('nothing is kept by a node with workers: %s', async (workers) => {
    const overrides = { dataDir: temporaryFolder(), redis: redis.url, workers, limits: { activeActorsMax: 10 } }
    await redis.admin.flushall()
    const node = await startNode(CONFIG, overrides)
    onTestFinished(() => node.close())
    await comeAndGo(redis.url, WARM_UP)
    let [before, grown] = [await censusOfRest(), ['nothing was counted'] as readonly string[]]
    for (let round = 0; round < ROUNDS && grown.length > 0; round += 1) {
      await comeAndGo(redis.url, CLIENTS)
      const after = await censusOfRest()
      grown = growth(before, after)
      before = after
    }
    expect(grown).toEqual([])
  })
})

async function comeAndGo(url: string, clients: number): Promise<void> {
  let come = 0
  const oneByOne = async (): Promise<void> => {
    while ((come += 1) <= clients) await comeAndGoOnce(url, `${come % 20}`)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, oneByOne))
}

/** Asks, is refused, reads, and follows. */
async function comeAndGoOnce(url: string, id: string): Promise<void> {
  await using client = await connect(CONFIG, { redis: url })
  const account = client.ref(Account, id)
  await account.ask('deposit', { amount: 1 })
  // What is expected to fail the test runner keeps.
  await account.ask('withdraw', { amount: 1_000 }).catch(() => undefined)
  for await (const event of client.store.subscribe()) if (event.version > 0) break
  for await (const event of client.store.subscribe({ stream: account.stream })) if (event.version > 0) break
}

function growth(before: Census, after: Census): readonly string[] {
  const grown = Object.keys(KINDS).map((kind) => ({ kind, by: after[kind]! - before[kind]! }))
  return grown.filter(({ by }) => by > KEPT_MAX).map(({ kind, by }) => `${by} more ${kind}`)
}

type Census = Readonly<Record<string, number>>

/** After a full collection. */
function census(): Census {
  return Object.fromEntries(Object.entries(KINDS).map(([kind, of]) => [kind, v8.queryObjects(of, { format: 'count' })]))
}

/** Once those have hung up that are gone: what they still have would hide what is kept of others. */
async function censusOfRest(): Promise<Census> {
  for (let before = census(); ;) {
    await delay(1_000)
    const now = census()
    if (Object.keys(KINDS).every((kind) => now[kind]! >= before[kind]!)) return now
    before = now
  }
}
