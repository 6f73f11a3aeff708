import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { deriveId, startNode, type Node, type Overrides } from '../../src/index.ts'
import type { Connection } from '../../src/cluster/network.ts'
import { PROTOCOL_VERSION } from '../../src/cluster/wire.ts'
import { hashOf } from '../../src/node/cluster-side.ts'
import { TcpNetwork } from '../../src/platform/tcp-network.ts'
import { Account } from '../account.ts'
import { NEAR } from '../cluster/network-ends.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import { Notebook, warnings } from './cluster.config.ts'
import { startThere } from './node-there.ts'

const SECRET = 'a secret of thirty-two characters'
const IDS = Array.from({ length: 24 }, (_, i) => `a${i}`)
const WAIT = { timeout: 60_000, interval: 20 }

/** What the nodes of one test have in common. */
interface Shared {
  readonly server: RedisProcess
  readonly overrides: Overrides
}

async function share(): Promise<Shared> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const network = { secrets: [SECRET] }
  return { server, overrides: { dataDir: temporaryFolder(), redis: server.url, network } }
}

async function startHere({ overrides }: Shared): Promise<Node> {
  const node = await startNode(new URL('cluster.config.ts', import.meta.url), { ...overrides, nodeName: 'here' })
  onTestFinished(() => node.close())
  return node
}

/** Resolves when the node here serves so many shards, and others the rest. */
async function untilServed(node: Node, shards: number): Promise<void> {
  await vi.waitFor(async () => {
    const { workers } = await node.status()
    expect(workers.flatMap((worker) => worker?.shards ?? [])).toHaveLength(shards)
  }, WAIT)
}

describe.skipIf(!hasRedis)('two nodes over one log', { timeout: 180_000 }, () => {
  test('a ref leads from each to every aggregate, with whatever is sent and told', async () => {
    const cluster = await share()
    const here = await startHere(cluster)
    const there = await startThere(cluster)
    await untilServed(here, 4)
    for (const id of IDS)
      expect(await here.ref(Account, id).ask('deposit', { amount: 1 })).toMatchObject({ version: 1 })
    for (const id of IDS) expect(await there.ask({ kind: 'deposit', id })).toBe(2)
    const balancesHere = IDS.map((id) => here.ref(Account, id).query('balance'))
    expect(await Promise.all(balancesHere)).toEqual(IDS.map(() => 2))
    expect(await Promise.all(IDS.map((id) => there.ask({ kind: 'balance', id })))).toEqual(IDS.map(() => 2))
    for (const id of IDS) {
      expect(await here.ref(Account, id).state({ atVersion: 1 })).toMatchObject({ balance: 1 })
      expect(await there.ask({ kind: 'state', id, atVersion: 1 })).toMatchObject({ balance: 1 })
      const declined = { code: 'insufficient-funds', details: { balance: 2 } }
      await expect(here.ref(Account, id).ask('withdraw', { amount: 1_000 })).rejects.toMatchObject(declined)
      await expect(there.ask({ kind: 'withdraw', id })).rejects.toMatchObject(declined)
    }
    await expect(here.ref(Account, 'a0').state({ atVersion: 99 })).rejects.toMatchObject({ code: 'NoSuchEvent' })
  })

  test('what is sent arrives as it was, of every type and size', async () => {
    const cluster = await share()
    const here = await startHere(cluster)
    const there = await startThere(cluster)
    await untilServed(here, 4)
    const what = {
      null: null,
      booleans: [true, false],
      numbers: [0, -1, 1.5, 2 ** 53, -(2 ** 31), Number.MAX_VALUE, Number.MIN_VALUE],
      texts: ['', 'é', '𝒳', '\u0000', 'x'.repeat(100_000)],
      lists: [[], [[1], [2, [3]]]],
      bigints: [2n ** 63n - 1n, -1n],
      bytes: Uint8Array.of(0, 255),
      object: { constructor: 'a key', toJSON: 1, '': { deep: { er: [] } } },
    }
    for (const id of IDS) {
      expect((await here.ref(Notebook, id).ask('note', { what })).events).toMatchObject([{ data: { what } }])
      expect(await there.ask({ kind: 'last', id })).toEqual(what)
      expect(await there.ask({ kind: 'note', id, what: [what, id] })).toEqual({ what: [what, id] })
      expect(await here.ref(Notebook, id).query('last')).toEqual([what, id])
    }
  })

  test('a node that closes hands over, and no command of the others fails', async () => {
    const cluster = await share()
    const here = await startHere(cluster)
    const there = await startThere(cluster)
    await untilServed(here, 4)
    let isOver = false
    const loads = IDS.map(async (id) => {
      let count = 0
      while (!isOver) {
        count += 1
        expect(await here.ref(Account, id).ask('deposit', { amount: 1 })).toMatchObject({ version: count })
      }
      return count
    })
    const load = Promise.all(loads)
    warnings.splice(0)
    await there.ask({ kind: 'close' })
    const { cluster: view } = await here.status()
    await untilServed(here, 8)
    isOver = true
    const counts = await load
    expect(await Promise.all(IDS.map((id) => here.ref(Account, id).query('balance')))).toEqual(counts)
    const [self] = view!.members.filter(({ name }) => name === 'here')
    await vi.waitFor(async () => {
      const { members, leases } = (await here.status()).cluster!
      expect(members).toEqual([self])
      expect(leases.map(({ member }) => member)).toEqual(Array.from({ length: 8 }, () => self!.id))
    }, WAIT)
    expect(warnings.filter((message) => message.includes('gone'))).toEqual([])
  })

  test('a command that was asked at a node that was killed takes effect once when it is asked again elsewhere', async () => {
    const cluster = await share()
    const here = await startHere(cluster)
    const there = await startThere(cluster)
    await untilServed(here, 4)
    const idOf = (id: string, round: number): string => deriveId('again', id, round)
    const rounds = Array.from({ length: 10 }, (_, round) => round)
    // The first are answered for sure, and some of the others are under way when it ends.
    for (const id of IDS) await there.ask({ kind: 'deposit', id, commandId: idOf(id, 0) })
    for (const round of rounds.slice(1)) {
      for (const id of IDS) void there.ask({ kind: 'deposit', id, commandId: idOf(id, round) })
    }
    const known = here.ref(Account, 'a0').ask('deposit', { amount: 1 }, { commandId: idOf('a0', 1) })
    await there.kill()
    await known
    await untilServed(here, 8)
    const asked = IDS.flatMap((id) =>
      rounds.map((round) => here.ref(Account, id).ask('deposit', { amount: 1 }, { commandId: idOf(id, round) })),
    )
    await Promise.all(asked)
    expect(await Promise.all(IDS.map((id) => here.ref(Account, id).query('balance')))).toEqual(IDS.map(() => 10))
  })

  test('of a node that was killed it is said that it is gone, and with what', async () => {
    const cluster = await share()
    const here = await startHere(cluster)
    const gone = /^the node 'there' at .* has gone without a word, with \d+ shards?/
    warnings.splice(0)
    // Who has not seen it fall silent, as the machine has stalled meanwhile, does not know whether it has left.
    for (let tries = 0; !warnings.some((warning) => gone.test(warning)); tries += 1) {
      expect(tries, warnings.join('\n')).toBeLessThan(5)
      const there = await startThere(cluster)
      await untilServed(here, 4)
      await there.kill()
      await untilServed(here, 8)
    }
  })

  test('whoever lacks the secret is not let in', async () => {
    const cluster = await share()
    const here = await startHere(cluster)
    const { members, cluster: mark } = (await here.status()).cluster!
    const connect = (secrets: readonly string[]): Promise<Connection> =>
      new TcpNetwork({ secrets }).connect(
        members[0]!.address,
        { ...NEAR, cluster: hashOf(mark.clusterId), protocol: PROTOCOL_VERSION },
        { timeoutMs: 20_000 },
      )
    for (const secrets of [['another one of thirty-two characters'], []]) {
      await expect(connect(secrets)).rejects.toMatchObject({ kind: 'unproven' })
    }
    ;(await connect([SECRET])).close()
    expect(await here.ref(Account, 'a').ask('deposit', { amount: 1 })).toMatchObject({ version: 1 })
  })

  test('LeasesUnavailable: a node that does not reach Redis does not start, and leaves the data to those that do', async () => {
    const cluster = await share()
    await cluster.server.kill()
    await expect(startHere(cluster)).rejects.toMatchObject({ code: 'LeasesUnavailable', retryable: true })
    await cluster.server.restart()
    const here = await startHere(cluster)
    expect(await here.ref(Account, 'a').ask('deposit', { amount: 1 })).toMatchObject({ version: 1 })
  })
})
