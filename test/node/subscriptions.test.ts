import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import type { ReadEvent } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'
import { all, Counter, start } from './reading-node.ts'

const ids = async (events: AsyncIterable<{ readonly id: string }>): Promise<string[]> =>
  (await all(events)).map(({ id }) => id)

describe('a subscription to one stream', () => {
  test('gives what it has behind a version, and then what comes, each once and in order', async () => {
    const node = await start()
    const note = (n: number) => node.store.append('log/1', [{ type: n % 3 === 0 ? 'Third' : 'Noted', data: n }])
    for (let n = 1; n <= 20; n += 1) await note(n)
    const seen: unknown[] = []
    const thirds: unknown[] = []
    const raw: number[] = []
    const subscription = node.store.subscribe({ stream: 'log/1', after: 5 }, ({ data }) => seen.push(data))
    const filter = { types: ['Third'] }
    const filtered = node.store.subscribe({ stream: 'log/1', filter }, ({ version }) => thirds.push(version))
    const undecoded = node.store.subscribe({ stream: 'log/1', raw: true }, ({ version }) => raw.push(version))
    for (let n = 21; n <= 200; n += 1) {
      await Promise.all([note(n), node.store.append(`log/${(n % 3) + 2}`, [{ type: 'Noted' }])])
    }
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
    await expect.poll(() => [seen.length, thirds.length, raw.length]).toEqual([195, 66, 200])
    expect(seen).toEqual(range(6, 200))
    expect(thirds).toEqual(range(1, 66).map((n) => 3 * n))
    expect(raw).toEqual(range(1, 200))
    expect(subscription.after).toBe(200)
    for (const one of [subscription, filtered, undecoded]) {
      one.stop()
      await one.closed
    }
    await note(201)
    expect(seen).toHaveLength(195)
  })

  test('waits for a stream that is not there, and upcasts what is an aggregate’s', async () => {
    const node = await start()
    const stop = new AbortController()
    const reading = (async () => {
      const read: unknown[] = []
      for await (const { type, data } of node.store.subscribe({ stream: 'counter/c', signal: stop.signal })) {
        read.push([type, data])
        if (read.length === 2) stop.abort()
      }
      return read
    })()
    await node.ref(Counter, 'd').ask('add', { by: 1 })
    await node.ref(Counter, 'c').ask('add', { by: 2 })
    await node.ref(Counter, 'c').ask('reset')
    expect(await reading).toEqual([
      ['Added', { by: 2 }],
      ['Reset', undefined],
    ])
  })

  test('refuses what it cannot follow', async () => {
    const { store } = await start()
    const bad = (options: object, code = 'BadPayload'): void =>
      expect(() => store.subscribe(options as { stream: string })).toThrow(expect.objectContaining({ code }) as Error)
    bad({ stream: 'audit' }, 'BadAddress')
    bad({ stream: 7 }, 'BadAddress')
    bad({ stream: 'a/1', after: '7.0' })
    bad({ stream: 'a/1', after: -1 })
    bad({ stream: 'a/1', from: 1 })
    bad({ stream: 'a/1', filter: { type: [] } })
  })
})

describe('a subscription with a handler', () => {
  test('is called with one event at a time, and says where to go on', async () => {
    const node = await start()
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, i) => node.ref(Account, `a${i}`).ask('deposit', { amount: 1 })),
    )
    const everything = await ids(node.store.readAll())
    expect(everything).toHaveLength(replies.length)
    const seen: string[] = []
    let running = 0
    const take = async ({ id }: ReadEvent): Promise<void> => {
      running += 1
      expect(running).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      seen.push(id)
      running -= 1
      if (seen.length % 20 === 0) subscription.stop()
    }
    let subscription = node.store.subscribe({ aggregates: [Account] }, take)
    expect(subscription.after).toBeUndefined()
    await subscription.closed
    expect(seen).toEqual(everything.slice(0, 20))
    subscription = node.store.subscribe({ after: subscription.after! }, take)
    await subscription.closed
    expect(seen).toEqual(everything.slice(0, 40))
  })

  test('ends with the error of its handler, and stands before the event that it threw on', async () => {
    const node = await start()
    for (let i = 0; i < 3; i += 1) await node.ref(Account, 'a').ask('deposit', { amount: 1 })
    const [first, second] = await all(node.store.readAll())
    const seen: string[] = []
    const subscription = node.store.subscribe({}, ({ id }) => {
      seen.push(id)
      if (id === second!.id) throw new Error('no')
    })
    await expect(subscription.closed).rejects.toThrow('no')
    expect(subscription.after).toBe(first!.place)
    expect(seen).toEqual([first!.id, second!.id])
    await subscription[Symbol.asyncDispose]()
  })

  test('goes on behind what it was given, where its handler was done with nothing', async () => {
    const node = await start()
    const { store } = node
    for (let i = 0; i < 3; i += 1) await node.ref(Account, 'a').ask('deposit', { amount: 1 })
    const [first, second] = await all(store.readAll())
    const fails = (): never => {
      throw new Error('no')
    }
    const everything = store.subscribe({ after: first!.place }, fails)
    await expect(everything.closed).rejects.toThrow('no')
    expect(everything.after).toBe(first!.place)
    const one = store.subscribe({ stream: 'account/a', after: 2 }, fails)
    await expect(one.closed).rejects.toThrow('no')
    expect(one.after).toBe(2)
    const time = new Date()
    const since = store.subscribe({ after: { time } }, fails)
    since.stop()
    await since.closed
    expect(since.after).toEqual({ time })
    const seen: number[] = []
    const again = store.subscribe({ after: everything.after! }, ({ version }) => {
      seen.push(version)
      again.stop()
    })
    await again.closed
    expect(seen).toEqual([second!.version])
  })

  test('ends the process with the error of its handler, where nobody looks', () => {
    const program = new URL('unwatched-subscription.ts', import.meta.url).pathname
    const { status, stderr } = spawnSync(process.execPath, [program, temporaryFolder()], { encoding: 'utf8' })
    expect([status, stderr]).toEqual([1, expect.stringContaining('the handler cannot')])
  })

  test('ends with its scope, its signal and its node', async () => {
    const node = await start()
    await node.ref(Account, 'a').ask('deposit', { amount: 1 })
    const stop = new AbortController()
    const [scoped, signalled, left] = [[] as string[], [] as string[], [] as string[]]
    const byNode = [
      node.store.subscribe({}, ({ id }) => left.push(id)),
      node.store.subscribe({ stream: 'account/a' }, ({ id }) => left.push(id)),
    ]
    const bySignal = node.store.subscribe({ signal: stop.signal }, ({ id }) => signalled.push(id))
    {
      await using _ = node.store.subscribe({}, ({ id }) => scoped.push(id))
      await expect.poll(() => [scoped, signalled, left].flat().length).toBe(4)
    }
    stop.abort()
    await bySignal.closed
    await node.ref(Account, 'a').ask('deposit', { amount: 1 })
    await expect.poll(() => left.length).toBe(4)
    expect([scoped.length, signalled.length]).toEqual([1, 1])
    await node.close()
    for (const { closed } of byNode) await closed
  })
})
