import { expect, onTestFinished, test } from 'vitest'
import { startNode, type Node } from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

async function start(): Promise<Node> {
  const node = await startNode(new URL('read.config.ts', import.meta.url), { dataDir: temporaryFolder() })
  onTestFinished(() => node.close())
  return node
}

test('everything that was acknowledged, in one order', async () => {
  const node = await start()
  expect(await Array.fromAsync(node.store.readAll())).toEqual([])
  const asks = Array.from({ length: 300 }, (_, i) => node.ref(Account, `a${i % 20}`).ask('deposit', { amount: i + 1 }))
  const replies = await Promise.all(asks)
  const written = replies.flatMap(({ events }) => events)
  const read = await Array.fromAsync(node.store.readAll())
  expect(read.map(({ id }) => id).toSorted()).toEqual(written.map(({ id }) => id).toSorted())
  expect(read.map(({ position }) => position)).toEqual(read.map(({ position }) => position).toSorted((a, b) => a - b))
  const byId = new Map(written.map((event) => [event.id, event]))
  for (const event of read) expect(event).toMatchObject(byId.get(event.id)!)
  // Again, and from the middle.
  expect(await Array.fromAsync(node.store.readAll())).toEqual(read)
  expect(await Array.fromAsync(node.store.readAll({ after: read[149]!.place }))).toEqual(read.slice(150))
})

test('what is there, and then what comes, without a seam', async () => {
  const node = await start()
  const seen: string[] = []
  const written: string[] = []
  const stop = new AbortController()
  const subscription = (async () => {
    for await (const event of node.store.subscribe({ signal: stop.signal })) seen.push(event.id)
  })()
  for (let i = 0; i < 200; i += 1) {
    const { events } = await node.ref(Account, `a${i % 7}`).ask('deposit', { amount: 1 })
    written.push(...events.map(({ id }) => id))
  }
  await expect.poll(() => seen.length).toBe(200)
  stop.abort()
  await subscription
  expect(seen).toEqual(written)
})

test('some of it: of aggregates, of types, and as it is stored', async () => {
  const node = await start()
  await node.ref(Account, 'a').ask('deposit', { amount: 5 })
  await node.ref(Account, 'a').ask('withdraw', { amount: 2 })
  const read = await Array.fromAsync(node.store.readAll())
  const raw = await Array.fromAsync(node.store.readAll({ raw: true }))
  expect(
    raw.map(({ id, stream, version, type, position, place }) => ({ id, stream, version, type, position, place })),
  ).toEqual(
    read.map(({ id, stream, version, type, position, place }) => ({ id, stream, version, type, position, place })),
  )
  const last = read[1]!
  expect(await Array.fromAsync(node.store.readAll({ filter: { types: [last.type] } }))).toEqual([last])
  expect(await Array.fromAsync(node.store.readAll({ filter: { types: [last.type] }, raw: true }))).toHaveLength(1)
  expect(await Array.fromAsync(node.store.readAll({ categories: ['account'] }))).toEqual(read)
  expect(await Array.fromAsync(node.store.readAll({ categories: ['other'] }))).toEqual([])
})

test('what no reader can do is said at once', async () => {
  const node = await start()
  expect(() => node.store.readAll({ aftre: '1.0' } as object)).toThrow(/no option 'aftre'; the nearest is 'after'/)
  expect(() => node.store.readAll({ after: 'here' })).toThrow(expect.objectContaining({ code: 'BadPlace' }) as Error)
  const ahead = { code: 'PlaceAhead', details: { position: 2 ** 50, head: 0 } }
  await expect(Array.fromAsync(node.store.readAll({ after: `${2 ** 50}.0` }))).rejects.toMatchObject(ahead)
  await expect(Array.fromAsync(node.store.subscribe({ after: `${2 ** 50}.0` }))).rejects.toMatchObject(ahead)
})

test('a subscription ends with its node, and with its signal, also where nothing comes', async () => {
  const node = await start()
  const stop = new AbortController()
  const both = [node.store.subscribe({ signal: stop.signal }), node.store.subscribe()].map((read) =>
    Array.fromAsync(read),
  )
  stop.abort()
  expect(await both[0]).toEqual([])
  await node.close()
  expect(await both[1]).toEqual([])
})

test.runIf(hasRedis)(
  'nodes of several read what any of them writes, in the same order, while shards move',
  async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const overrides = { dataDir: temporaryFolder(), redis: server.url }
    const nodes: Node[] = []
    const join = async (): Promise<void> => {
      const node = await startNode(new URL('read.config.ts', import.meta.url), overrides)
      onTestFinished(() => node.close())
      nodes.push(node)
    }
    await join()
    const stop = new AbortController()
    const seen: string[] = []
    const subscription = (async () => {
      for await (const { id } of nodes[0]!.store.subscribe({ signal: stop.signal })) seen.push(id)
    })()
    const ofOne: number[] = []
    const one = nodes[0]!.store.subscribe({ stream: 'account/a1' }, ({ version }) => ofOne.push(version))
    const written: string[] = []
    const write = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) {
        const { events } = await nodes[i % nodes.length]!.ref(Account, `a${i % 23}`).ask('deposit', { amount: 1 })
        written.push(...events.map(({ id }) => id))
      }
    }
    await write(100)
    await join()
    await write(200)
    const everything = await Array.fromAsync(nodes[1]!.store.readAll(), ({ id }) => id)
    // Who asks at one node does not know what was told at another: what they ask has no order between it.
    expect(everything.toSorted()).toEqual(written.toSorted())
    await expect.poll(() => seen.length, { timeout: 60_000 }).toBe(300)
    stop.abort()
    await subscription
    expect(seen).toEqual(everything)
    const newest = 1 + Math.floor((100 - 2) / 23) + 1 + Math.floor((200 - 2) / 23)
    await expect.poll(() => ofOne.length, { timeout: 60_000 }).toBe(newest)
    expect(ofOne).toEqual(Array.from({ length: newest }, (_, i) => i + 1))
    one.stop()
    await one.closed
  },
)
