import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CommandMessage } from '../../src/actor/message.ts'
import { FrameWriter } from '../../src/cluster/frame.ts'
import { createLinkPair, type Link } from '../../src/cluster/link.ts'
import { Router } from '../../src/cluster/router.ts'
import { outgoing, PROTOCOL_VERSION, readMessages, writeReply, type Unsent } from '../../src/cluster/wire.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const SHARDS = 2
const WORKERS = ['a', 'b', 'c'] as const
type Name = (typeof WORKERS)[number]

function command(number: number): Unsent {
  const identity = { commandId: sliceOf(new Uint8Array(16)), payloadHash: number, isFresh: true, isAgain: false }
  const what = {
    kind: 'command',
    request: 0,
    epoch: 0,
    stream: 'account/1',
    name: 'open',
    payload: outgoing({}),
  } as const
  return { ...what, ...identity, expectedVersion: -1, deadline: 0, after: 0, metadata: undefined }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

/**
 * Workers that own shards or do not, and do what they are told in their own time: what the log would know, they share.
 * What is unread of a connection that was given up they may still read, until its caller has called again.
 */
class Cluster {
  readonly clock = new SimulatedClock()
  readonly done: number[][] = Array.from({ length: SHARDS }, () => [])
  readonly owners: { name?: Name; epoch: number }[] = Array.from({ length: SHARDS }, () => ({ epoch: 0 }))
  readonly answers = new Map<number, string>()
  readonly router = new Router({
    clock: this.clock,
    shards: SHARDS,
    underWayMax: 1000,
    timeoutMs: 1_000_000,
    onBadFrame: (_, error) => {
      throw error
    },
    onElsewhere: () => undefined,
  })
  /** Decided against at least once: where nobody heard of it they are decided again, behind what came after them. */
  readonly refused = new Set<number>()
  readonly #far = new Map<Name, { link: Link; inbox: CommandMessage[]; near: Narrow }>()
  readonly #late = new Map<Name, CommandMessage[]>()
  #sent = 0

  send(shard: number): void {
    this.#sent += 1
    const number = this.#sent * SHARDS + shard
    const message = command(number)
    this.router.send(shard, message, {
      resolve: ({ kind }) => this.answers.set(number, kind),
      reject: ({ code }) => this.answers.set(number, code),
    })
  }

  connect(name: Name): void {
    this.disconnect(name)
    this.#late.delete(name)
    const [wide, link] = createLinkPair(this.clock)
    const near = new Narrow(wide)
    const inbox: CommandMessage[] = []
    link.onFrame((frame) =>
      inbox.push(...(readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION }) as CommandMessage[])),
    )
    this.#far.set(name, { link, inbox, near })
    this.router.attach(name, near)
  }

  disconnect(name: Name): void {
    this.#late.set(name, [...(this.#late.get(name) ?? []), ...(this.#far.get(name)?.inbox ?? [])])
    this.#far.delete(name)
    this.router.detach(name)
  }

  fill(name: Name, isFull: boolean): void {
    this.#far.get(name)?.near.fill(isFull)
  }

  /** The worker takes up so much of what it was sent; `isLost`: it does it, and its answer gets lost with the link. */
  work(name: Name, count: number, { isLost = false, isRefusing = false } = {}): void {
    const far = this.#far.get(name)
    if (far === undefined) return
    const frame = new FrameWriter()
    for (const message of far.inbox.splice(0, count)) {
      const { request, payloadHash } = message
      const shard = payloadHash % SHARDS
      if (!this.#isFor(name, message)) writeReply(frame, request, { kind: 'elsewhere', shard })
      else if (isRefusing && !this.done[shard]!.includes(payloadHash)) {
        this.refused.add(payloadHash)
        writeReply(frame, request, { kind: 'rejected', code: 'no', details: undefined })
      } else {
        this.#do(message)
        writeReply(frame, request, { kind: 'answered', value: 1 })
      }
    }
    if (isLost) this.disconnect(name)
    else if (frame.length > 0) far.link.send(frame.take())
  }

  /** The worker takes up so much of what was sent before its caller gave the connection up. */
  workLate(name: Name, count: number): void {
    for (const message of this.#late.get(name)?.splice(0, count) ?? [])
      if (this.#isFor(name, message)) this.#do(message)
  }

  #isFor(name: Name, { epoch, payloadHash }: CommandMessage): boolean {
    const owner = this.owners[payloadHash % SHARDS]!
    return owner.name === name && owner.epoch === epoch
  }

  /** What was not sent before need not be looked for. */
  #do({ payloadHash, isFresh }: CommandMessage): void {
    const done = this.done[payloadHash % SHARDS]!
    if (isFresh || !done.includes(payloadHash)) done.push(payloadHash)
  }

  /** To another owner, or back to the same in a new epoch. */
  move(shard: number, name: Name, isTold: boolean): void {
    const epoch = this.owners[shard]!.epoch + 1
    this.owners[shard] = { name, epoch }
    if (isTold) this.router.assign(shard, name, epoch)
  }

  /** Something that was true once, or never, and never will be. */
  tell(shard: number, name: Name, ago: number): void {
    const { epoch } = this.owners[shard]!
    if (epoch > 0) this.router.assign(shard, name, Math.max(1, epoch - ago))
  }

  async end(): Promise<void> {
    for (const name of WORKERS) this.connect(name)
    for (let round = 0; round < 40; round += 1) {
      for (let shard = 0; shard < SHARDS; shard += 1) {
        const { name = 'a', epoch } = this.owners[shard]!
        this.owners[shard] = { name, epoch }
        this.router.assign(shard, name, epoch)
      }
      for (const name of WORKERS) this.work(name, 1000)
      await turn()
    }
  }
}

/** A link that is full when it is told to be. */
class Narrow implements Link {
  readonly #link: Link
  isFull = false
  #onDrain = (): void => undefined

  constructor(link: Link) {
    this.#link = link
  }

  fill(isFull: boolean): void {
    const wasFull = this.isFull
    this.isFull = isFull
    if (wasFull && !isFull) this.#onDrain()
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    expect(this.isFull).toBe(false)
    this.#link.send(frame)
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.#link.onFrame(receive)
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback
  }

  close(): void {
    this.#link.close()
  }
}

const name = fc.constantFrom(...WORKERS)
const shard = fc.nat({ max: SHARDS - 1 })
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('send' as const), shard, times: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('work' as const),
      name,
      count: fc.integer({ min: 1, max: 5 }),
      isRefusing: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('move' as const), shard, name, isTold: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('tell' as const), shard, name, ago: fc.nat({ max: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), name, count: fc.nat({ max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('late' as const), name, count: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('connect' as const), name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fill' as const), name, isFull: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
)

test('whoever owns a shard, and whatever the router was told of it, its messages arrive in order and are answered once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const cluster = new Cluster()
      for (const one of WORKERS) cluster.connect(one)
      let sent = 0
      for (const doing of steps) {
        if (doing.kind === 'send') for (let i = 0; i < doing.times; i += 1) cluster.send(((sent += 1), doing.shard))
        if (doing.kind === 'work') cluster.work(doing.name, doing.count, doing)
        if (doing.kind === 'move') cluster.move(doing.shard, doing.name, doing.isTold)
        if (doing.kind === 'tell') cluster.tell(doing.shard, doing.name, doing.ago)
        if (doing.kind === 'lose') cluster.work(doing.name, doing.count, { isLost: true })
        if (doing.kind === 'late') cluster.workLate(doing.name, doing.count)
        if (doing.kind === 'connect') cluster.connect(doing.name)
        if (doing.kind === 'fill') cluster.fill(doing.name, doing.isFull)
        if (doing.kind === 'turn') await turn()
      }
      await cluster.end()
      expect(cluster.answers.size).toBe(sent)
      const done = new Set(cluster.done.flat())
      expect(cluster.done.flat()).toHaveLength(done.size)
      for (const order of cluster.done.map((all) => all.filter((number) => !cluster.refused.has(number)))) {
        expect(order).toEqual(order.toSorted((a, b) => a - b))
      }
      for (const [number, answer] of cluster.answers)
        expect([number, answer]).toEqual([number, done.has(number) ? 'answered' : 'rejected'])
      expect(cluster.router.underWay).toBe(0)
    }),
    { numRuns: 1500 },
  )
}, 60_000)

test('ShardUnavailable: what nobody serves was done by nobody', async () => {
  const { router, clock } = new Cluster()
  const told = new Promise((_, reject) => {
    router.send(0, command(1), { resolve: () => undefined, reject }, { timeoutMs: 50 })
  })
  clock.advance(60)
  await expect(told).rejects.toMatchObject({ code: 'ShardUnavailable', outcome: 'none', retryable: true })
})
