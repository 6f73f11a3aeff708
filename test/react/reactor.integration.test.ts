import fs from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { defineAggregate, defineCluster, defineReactor, startNode, type Node, type Reactor } from '../../src/index.ts'
import { Account } from '../account.ts'
import { runCli } from '../cli-run.ts'
import { temporaryFolder } from '../temporary.ts'
import { untilRecorded } from './recorded.ts'

/** What is counted of accounts. */
const Tally = defineAggregate({
  type: 'tally',
  initialState: () => ({ sum: 0, times: 0 }),
  events: { Counted: ({ sum, times }, { amount }: { amount: number }) => ({ sum: sum + amount, times: times + 1 }) },
  commands: {
    count: (_state, { amount }: { amount: number }, { emit, reject }) =>
      amount > 1_000 ? reject('TooMuch') : emit.Counted({ amount }),
  },
  queries: { tally: (state) => state },
})

async function start(reactors: readonly Reactor[], folder: string = temporaryFolder()): Promise<Node> {
  const config = defineCluster({
    name: 'reacting',
    aggregates: [Account, Tally],
    reactors,
    dataDir: folder,
    shards: 4,
    workers: 'inline',
    onWarning: () => undefined,
  })
  const node = await startNode(config)
  onTestFinished(() => node.close())
  return node
}

test('a reactor gets each event in order, and what it sends takes effect once, after a restart too', async () => {
  const folder = temporaryFolder()
  const seen: string[] = []
  const counts = defineReactor({
    name: 'counts',
    from: [Account],
    startAt: 'beginning',
    on: {
      MoneyDeposited: async ({ stream, version, data }, { ask }) => {
        seen.push(`${stream} ${version}`)
        await ask(Tally, 'all', 'count', { amount: data.amount })
      },
    },
  })
  const first = await start([counts], folder)
  for (const id of ['a', 'b', 'c']) {
    await first.ref(Account, id).ask('open', { owner: id })
    for (const amount of [1, 2, 3]) await first.ref(Account, id).ask('deposit', { amount })
  }
  const tally = (node: Node): Promise<unknown> => node.ref(Tally, 'all').query('tally')
  await expect.poll(() => tally(first)).toEqual({ sum: 18, times: 9 })
  for (const id of ['a', 'b', 'c']) {
    const own = seen.filter((each) => each.startsWith(`account/${id} `))
    expect(own).toEqual([2, 3, 4].map((version) => `account/${id} ${version}`))
  }
  await untilRecorded(first, 'reactor:counts', 'account/a', 'account/b', 'account/c')
  await first.close()

  const second = await start([counts], folder)
  await second.ref(Account, 'a').ask('deposit', { amount: 4 })
  await expect.poll(() => tally(second)).toEqual({ sum: 22, times: 10 })
  expect(seen).toHaveLength(10)
  // What it keeps for itself is nobody's event.
  const streams = new Set((await Array.fromAsync(second.store.readAll())).map(({ stream }) => stream))
  expect([...streams].toSorted()).toEqual(['account/a', 'account/b', 'account/c', 'tally/all'])
})

test('what cannot be handled is parked, told, retried and skipped by hand, while others go on', async () => {
  const poison = new Set(['account/a'])
  const seen: string[] = []
  const mails = defineReactor({
    name: 'mails',
    from: [Account],
    startAt: 'beginning',
    retries: 0,
    on: {
      MoneyDeposited: ({ stream, version }) => {
        if (poison.has(stream)) throw new Error('the server refuses it')
        seen.push(`${stream} ${version}`)
      },
    },
  })
  const node = await start([mails])
  const deposit = async (id: string): Promise<unknown> => await node.ref(Account, id).ask('deposit', { amount: 1 })
  for (const id of ['a', 'b', 'a', 'b']) await deposit(id)
  const ref = node.reactor(mails)
  await expect
    .poll(() => ref.parked())
    .toMatchObject([
      { stream: 'account/a', version: 1, type: 'MoneyDeposited', reason: 'Error: the server refuses it', failures: 1 },
    ])
  await expect.poll(() => seen).toEqual(['account/b 1', 'account/b 2'])
  expect(await ref.waiting('account/a')).toMatchObject([{ version: 1 }, { version: 2 }])
  expect((await node.status()).reactors).toMatchObject([{ name: 'mails', parkedStreams: 1 }])
  expect(await ref.retryParked('account/a')).toMatchObject({ failed: { version: 1 } })
  await expect(ref.skipParked({ stream: 'account/a', version: 2, reason: 'x' })).rejects.toMatchObject({
    code: 'ReactorState',
    message: expect.stringContaining('version 1') as string,
  })
  await expect(ref.retryParked('account/b')).rejects.toMatchObject({ code: 'ReactorState' })
  await ref.skipParked({ stream: 'account/a', version: 1, reason: 'it is too old' })
  poison.clear()
  expect(await ref.retryParked('account/a')).toEqual({ failed: undefined })
  expect(seen.at(-1)).toBe('account/a 2')
  expect(await ref.parked()).toEqual([])
  await ref.pause()
  await deposit('a')
  await expect.poll(async () => (await ref.status()).state).toBe('paused')
  expect(seen).toHaveLength(3)
  await ref.resume()
  await expect.poll(() => seen.at(-1)).toBe('account/a 3')
  expect(() => node.reactor({ name: 'mail' })).toThrow("the nearest is 'mails'")
})

test('one that starts now reacts to what comes, and to that after a restart as well', async () => {
  const folder = temporaryFolder()
  const before = await start([], folder)
  for (const id of ['a', 'b', 'c', 'd']) await before.ref(Account, id).ask('deposit', { amount: 1 })
  await before.close()
  const seen: string[] = []
  const late = defineReactor({
    name: 'late',
    from: 'all',
    startAt: 'now',
    on: { MoneyDeposited: ({ stream, version }) => void seen.push(`${stream} ${version}`) },
  })
  const first = await start([late], folder)
  // At once: what is acknowledged after the start is its own.
  await first.ref(Account, 'a').ask('deposit', { amount: 1 })
  await expect.poll(() => seen).toEqual(['account/a 2'])
  await untilRecorded(first, 'reactor:late', 'account/a')
  await first.close()
  const between = await start([], folder)
  await between.ref(Account, 'b').ask('deposit', { amount: 1 })
  await between.close()
  await start([late], folder)
  await expect.poll(() => seen).toEqual(['account/a 2', 'account/b 2'])
})

test('what a reactor sends names the event as its cause, and a rejection is an outcome', async () => {
  const outcomes: unknown[] = []
  const counts = defineReactor({
    name: 'counts',
    from: [Account],
    startAt: 'beginning',
    on: {
      MoneyDeposited: async ({ data: { amount }, stream }, { ask, tell }) => {
        tell(Tally, stream.slice(8), 'count', { amount: 5_000 })
        tell(Tally, stream.slice(8), 'count', { amount: 2 }, { key: 'twice' })
        tell(Tally, stream.slice(8), 'count', { amount: 2 }, { key: 'twice' })
        await ask(Tally, 'all', 'count', { amount }).then(
          (sent) => outcomes.push(sent.version),
          (error: unknown) => outcomes.push(error),
        )
      },
    },
  })
  const node = await start([counts])
  const { events } = await node.ref(Account, 'a').ask('deposit', { amount: 1 })
  await expect.poll(() => outcomes).toEqual([1])
  await node.ref(Account, 'a').ask('deposit', { amount: 2_000 })
  await expect.poll(() => outcomes).toMatchObject([1, { name: 'Rejected', code: 'TooMuch' }])
  await expect.poll(() => node.ref(Tally, 'a').query('tally')).toEqual({ sum: 4, times: 2 })
  const [counted] = await Array.fromAsync(node.store.load('tally/all'))
  expect(counted!.metadata).toMatchObject({
    causationId: events[0]!.id,
    correlationId: events[0]!.metadata.correlationId,
  })
  expect(counted!.position).toBeGreaterThan(events[0]!.position)
  // Its own records of places are nobody's, by name or in the tree of what was set in motion.
  const tree = await node.store.correlation(events[0]!.metadata.correlationId)
  expect(tree.size).toBe(3)
  await expect(node.store.append('$consumer/x', [{ type: 'A' }])).rejects.toMatchObject({ code: 'BadAddress' })
  expect(() => node.store.load('$consumer/x')).toThrow('no stream')
})

test('where reactors stand is in a backup and no export, and what was restored is not reacted to again', async () => {
  const [folder, backup, restored] = [temporaryFolder(), join(temporaryFolder(), 'b'), join(temporaryFolder(), 'r')]
  const seen: string[] = []
  const counts = defineReactor({
    name: 'counts',
    from: [Account],
    startAt: 'beginning',
    on: { MoneyDeposited: ({ stream, version }) => void seen.push(`${stream} ${version}`) },
  })
  const first = await start([counts], folder)
  await first.ref(Account, 'a').ask('deposit', { amount: 1 })
  await expect.poll(() => seen).toEqual(['account/a 1'])
  await untilRecorded(first, 'reactor:counts', 'account/a')
  await first.close()
  expect(await runCli('verify', '--data', folder)).toMatchObject({ code: 0 })
  const exported = join(temporaryFolder(), 'events')
  expect(await runCli('export', '--data', folder, '--to', exported)).toMatchObject({ code: 0 })
  const lines = fs.readFileSync(exported, 'utf8').trim().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { stream: string }).stream)).toEqual(['account/a'])

  expect(await runCli('backup', backup, '--data', folder)).toMatchObject({ code: 0 })
  expect(await runCli('restore', backup, restored)).toMatchObject({ code: 0 })
  const second = await start([counts], restored)
  await second.ref(Account, 'b').ask('deposit', { amount: 1 })
  await expect.poll(() => seen).toEqual(['account/a 1', 'account/b 1'])
})
