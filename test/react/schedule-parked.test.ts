/** What becomes of the runs of a schedule that wait behind one that was parked: of a whole node, over virtual time. */
import { expect, onTestFinished, test } from 'vitest'
import { defineAggregate, defineCluster, defineSchedule, type ClusterConfig, type Schedule } from '../../src/index.ts'
import { MemoryStorage } from '../../src/log/memory-storage.ts'
import { RunningNode } from '../../src/node/running-node.ts'
import { startInline } from '../../src/node/worker-handle.ts'
import type { Reaction } from '../../src/react/consumer.ts'
import { timerCommandsConsumer } from '../../src/react/timer-consumers.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { MemoryEffects } from './memory-effects.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const MIDNIGHT = Date.UTC(2026, 0, 1)
const STREAM = '$schedule/noted'
const COMMANDS = { name: '$timer-commands' }

const Log = defineAggregate({
  type: 'log',
  initialState: (): readonly number[] => [],
  events: { Noted: (all, { minutes }: { readonly minutes: number }) => [...all, minutes] },
  commands: { note: (_state, noted: { readonly minutes: number }, { emit }) => emit.Noted(noted) },
})

/** A node that may be closed and started again. Its schedule runs each 20 minutes, and says which minute it is; runs of some fail. */
class World {
  readonly failing = new Set<number>()
  readonly #clock = new VirtualClock(MIDNIGHT)
  readonly #storage = new MemoryStorage()
  readonly #random = new SeededRandom(1)
  #node: RunningNode | undefined

  async start(missed: Schedule['missed']): Promise<void> {
    const config = this.#config(missed)
    const identity = { format: 1, clusterId: 'parked' }
    const ports = { clock: this.#clock, random: this.#random, storage: this.#storage }
    this.#node = new RunningNode(
      config,
      { ...identity, name: 'parked', shards: 1 },
      {
        ...ports,
        startWorker: (start, events) => startInline({ ...ports, ...start, config, ...identity }, events),
        onClosed: () => Promise.resolve(),
      },
    )
    await this.during(this.#node.start())
  }

  get node(): RunningNode {
    return this.#node!
  }

  /** Up to so many minutes. */
  async until(minutes: number): Promise<void> {
    await this.#clock.pass(MIDNIGHT + minutes * MINUTE - this.#clock.now())
  }

  async during<Result>(work: Promise<Result>): Promise<Result> {
    let isDone = false
    const done = work.finally(() => (isDone = true))
    done.catch(() => undefined)
    while (!isDone) await this.#clock.pass(1)
    return await done
  }

  async retry(): Promise<number | undefined> {
    const { failed } = await this.during(this.node.reactor(COMMANDS).retryParked(STREAM))
    await this.#clock.pass(SECOND)
    return failed?.version
  }

  async parked(): Promise<number | undefined> {
    const [first] = await this.during(this.node.reactor(COMMANDS).parked())
    return first?.version
  }

  async skip(version: number): Promise<void> {
    await this.during(this.node.reactor(COMMANDS).skipParked({ stream: STREAM, version, reason: 'too late' }))
  }

  async close(): Promise<void> {
    await this.during(this.node.close())
  }

  noted(): Promise<readonly number[]> {
    return this.node.ref(Log, '1').state()
  }

  #config(missed: Schedule['missed']): ClusterConfig {
    const payload = ({ time }: { readonly time: Date }): { readonly minutes: number } => {
      const minutes = (time.getTime() - MIDNIGHT) / MINUTE
      if (this.failing.has(minutes)) throw new Error('not now')
      return { minutes }
    }
    const to = { aggregate: Log, id: '1', command: 'note', payload } as const
    const schedule = defineSchedule({ name: 'noted', cron: '*/20 * * * *', missed, ...to })
    const settings = { name: 'parked', dataDir: 'nowhere', workers: 'inline', shards: 1 } as const
    return defineCluster({ ...settings, aggregates: [Log], schedules: [schedule], onWarning: () => undefined })
  }
}

/** Its run of minute 20 was parked, and those of 40, 60 and 80 wait behind it: it is minute 90. */
async function parked(missed: Schedule['missed']): Promise<World> {
  const world = new World()
  world.failing.add(20)
  await world.start(missed)
  onTestFinished(() => world.close())
  await world.until(90)
  expect(await world.parked()).toBeDefined()
  expect(await world.noted()).toEqual([])
  world.failing.clear()
  return world
}

test.each([
  ['all', [20, 40, 60, 80]],
  ['once', [20, 80]],
  ['skip', [20]],
] as const)("of what has waited behind a run that is retried is sent what '%s' says", async (missed, sent) => {
  const world = await parked(missed)
  expect(await world.retry()).toBeUndefined()
  expect(await world.noted()).toEqual(sent)
  await world.until(121)
  expect(await world.noted()).toEqual([...sent, 100, 120])
})

test.each([
  ['all', [40, 60, 80]],
  ['once', [80]],
  ['skip', []],
] as const)("of what has waited behind a run that was skipped is sent what '%s' says", async (missed, sent) => {
  const world = await parked(missed)
  await world.skip((await world.parked())!)
  expect(await world.retry()).toBeUndefined()
  expect(await world.noted()).toEqual(sent)
  await world.until(101)
  expect(await world.noted()).toEqual([...sent, 100])
})

test("what is late by no more than a minute when it is retried is sent with 'skip' too", async () => {
  const world = await parked('skip')
  await world.until(100.7)
  await world.retry()
  expect(await world.noted()).toEqual([20, 100])
})

test('a run that has waited and fails itself is parked, and is the one that is wanted when it is retried', async () => {
  const world = await parked('once')
  world.failing.add(80)
  const failed = await world.retry()
  expect(failed).toBe(await world.parked())
  expect(await world.noted()).toEqual([20])
  world.failing.clear()
  await world.until(150)
  expect(await world.retry()).toBeUndefined()
  expect(await world.noted()).toEqual([20, 80, 140])
})

test('who takes over while it is retried does what the schedule says now, as if nothing had come between', async () => {
  for (const [before, after, sent] of [
    ['all', 'once', [20, 80]],
    ['once', 'all', [20, 40, 60, 80]],
    ['once', 'once', [20, 80]],
  ] as const) {
    const world = await parked(before)
    // Asked for, and not begun.
    const asked = world.node.reactor(COMMANDS).retryParked(STREAM)
    asked.catch(() => undefined)
    await world.close()
    await world.start(after)
    await world.until(95)
    if ((await world.parked()) !== undefined) await world.retry()
    expect(await world.noted(), `${before} ${after}`).toEqual(sent)
  }
})

test("what the log says of the schedule counts, not the node's config, which others may have otherwise", async () => {
  const sentBy = async (missed: Schedule['missed'], runs: object): Promise<number> => {
    const payload = { minutes: 1 }
    const to = { aggregate: Log, id: '1', command: 'note', payload } as const
    const schedules = [defineSchedule({ name: 'noted', cron: '0 * * * *', missed, ...to })]
    const { does } = timerCommandsConsumer({
      schedules,
      clock: new VirtualClock(9 * HOUR),
      otherTime: () => undefined,
      onWarning: () => expect.fail(),
    })
    const effects = new MemoryEffects()
    effects.query = async () => runs
    const data = { time: HOUR }
    const event = { type: 'RunDue', id: 'e', stream: STREAM, position: 7, data, metadata: { correlationId: 'c' } }
    const reaction = { effects, signal: new AbortController().signal, isBehindParked: true } as unknown as Reaction
    if ('one' in does) await does.one(event as unknown as FeedEvent, reaction)
    return effects.sent.length
  }
  expect(await sentBy('all', { missed: 'once', last: 2 * HOUR })).toBe(0)
  expect(await sentBy('all', { missed: 'once', last: HOUR })).toBe(1)
  expect(await sentBy('all', { missed: 'skip', last: HOUR })).toBe(0)
  expect(await sentBy('skip', { missed: 'all', last: 2 * HOUR })).toBe(1)
})
