/** Numbers that the docs promise of reactors, processes and timers, each held against what is done. */
import { v7 } from 'uuid'
import { expect, test } from 'vitest'
import { defineAggregate, defineProcess } from '../../src/index.ts'
import { IdSource } from '../../src/log/identity.ts'
import { Consumers } from '../../src/node/consumers.ts'
import { Attempt } from '../../src/react/attempt.ts'
import { ConsumerOperations } from '../../src/react/consumer-operations.ts'
import type { Consumer } from '../../src/react/consumer.ts'
import type { LoadedEvent, ShardEffects } from '../../src/react/effects.ts'
import { aggregateOf } from '../../src/react/process-aggregate.ts'
import { consumersOf } from '../../src/react/process-consumers.ts'
import type { ProcessState } from '../../src/react/process.ts'
import type { DueTimer } from '../../src/react/timer-records.ts'
import { ReactorTimers } from '../../src/react/timer.ts'
import { Timers } from '../../src/react/timers.ts'
import { Bell } from '../../src/read/bell.ts'
import { Room } from '../../src/read/room.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { EventRow, shardOf } from '../read/event-row.ts'
import { LaneBench, SHARD } from './lane-bench.ts'
import { MemoryEffects } from './memory-effects.ts'
import { ProcessWorld } from './process-world.ts'

const MIB = 1024 * 1024

const Source = defineAggregate({
  type: 'source',
  initialState: () => 0,
  events: { Said: (count, _said: { sends: number }) => count + 1 },
  commands: { say: (_count, said: { sends: number }, { emit }) => emit.Said(said) },
})
const Target = defineAggregate({
  type: 'target',
  initialState: () => 0,
  events: { Done: (count) => count + 1 },
  commands: { do: (_count, _none: undefined, { emit }) => emit.Done() },
})

test('a process has a thousand commands whose outcome is not known, whenever they were sent, and one more for each that is', async () => {
  const process = defineProcess({
    type: 'listener',
    from: [Source],
    to: [Target],
    timers: [],
    startAt: 'beginning',
    correlate: { Said: () => 'k' },
    initialState: () => 0,
    on: {
      Said: (_state, { data }, { send }) => {
        for (let i = 0; i < data.sends; i += 1) send(Target, 't', 'do')
      },
    },
  })
  const world = new ProcessWorld([Source, Target, aggregateOf(process)])
  const [told, sent] = consumersOf(process)
  const pending = () => (world.state('listener/k') as ProcessState<number>).sends.length
  const say = async (sends: number): Promise<void> => {
    world.ask('source/1', 'say', { sends })
    await world.run([told!])
  }
  await say(600)
  await say(400)
  expect(pending()).toBe(1_000)
  world.ask('source/1', 'say', { sends: 1 })
  await expect(world.run([told!])).rejects.toThrow('1000 commands of the process wait for their outcome')
  await world.tellAgain(
    sent!,
    world.of('listener/k').find(({ type }) => type === '$sent')!,
  )
  expect(pending()).toBe(999)
  await world.run([told!])
  expect(pending()).toBe(1_000)
})

test('a process has up to a hundred timers', () => {
  const define = (count: number) => {
    const timers = Array.from({ length: count }, (_, i) => `t${i}`)
    return defineProcess({
      type: 'listener',
      from: [Source],
      timers,
      startAt: 'now',
      correlate: { Said: () => 'k' },
      initialState: () => 0,
      evolve: { Said: (heard: number) => heard },
      on: Object.fromEntries(timers.map((timer) => [timer, () => undefined])),
    } as any)
  }
  expect(define(100).timers).toHaveLength(100)
  expect(() => define(101)).toThrow('it has 101 timers; 100 is the most')
})

test('whoever has what is parked tried again waits for a minute', async () => {
  const [clock, effects] = [new SimulatedClock(), new MemoryEffects()]
  const consumer: Consumer = {
    kind: 'reactor',
    name: 'mails',
    isWanted: () => true,
    startAt: 'beginning',
    onFailure: 'park',
    retries: 0,
    handlerTimeoutMs: 1_000,
    concurrency: 1,
    does: { one: () => undefined },
  }
  const ids = new IdSource(clock, new SeededRandom(1))
  const feeds = new EventRow().feeds('shard')
  const operations = new ConsumerOperations({ consumer, shards: 1, shardOf: () => 0, feeds, effects, ids, clock })
  const record = {
    stream: effects.inShard(0, '$consumer', 'reactor:mails'),
    correlationId: '',
    causationId: '',
    after: 0,
  }
  const place = { position: 1, shard: 0 }
  await effects.ask({ ...record, name: 'begin', payload: { place }, commandId: '1' })
  const event = { stream: 'a/0', version: 1, type: 'Done', position: 2, reason: 'it fails', at: 0 }
  await effects.ask({ ...record, name: 'park', payload: { from: place, turn: 0, event }, commandId: '2' })
  let outcome = 'waits'
  operations.retry('a/0').then(
    () => (outcome = 'done'),
    ({ code, message }) => (outcome = `${code}: ${message}`),
  )
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 20) {
      clock.advance(20)
      await new Promise(setImmediate)
    }
  }
  await pass(59_000)
  expect(outcome).toBe('waits')
  // It looks once a second by then.
  await pass(2_500)
  expect(outcome).toContain('Timeout')
  expect(outcome).toContain('60000 ms')
})

test('the timers that a node has in memory are 300,000 at most, in whatever shards', async () => {
  for (const shards of [64, 1_000, 4_096]) {
    const clock = new SimulatedClock()
    const minute = Math.floor(clock.now() / 60_000) * 60_000
    const due = minute + 30_000
    const memory = new MemoryEffects()
    const timers = Array.from({ length: 16 }, (_, i): DueTimer => {
      return {
        at: due + i,
        stream: '$timer/a',
        id: `${i}`,
        token: `${i}`,
        position: 1,
        causationId: '',
        correlationId: '',
      }
    })
    const load = async function* (): AsyncGenerator<LoadedEvent, void> {
      for (let version = 1; version <= 1_000; version += 1)
        yield { version, position: version, type: 'Put', data: { timers } }
    }
    let version = 1_000
    const from = (): ShardEffects => ({
      ask: async ({ name }) => ({ kind: 'accepted', version: name === 'put' ? (version += 1) : 1, position: 1 }),
      find: () => memory.find(),
      query: async () => ({ '1-1': { level: 0, start: minute } }),
      append: () => memory.append(),
      load,
      inShard: (...name) => memory.inShard(...name),
      knows: () => true,
      commandBytesMax: MIB,
      from,
    })
    const wheels = new Timers({
      clock,
      otherTime: () => undefined,
      effects: from(),
      shards,
      schedules: [],
      newId: () => v7(),
      onWarning: () => undefined,
    })
    wheels.run(new Map([[0, 1]]))
    const turns = async (): Promise<void> => {
      for (let i = 0; i < 5_000; i += 1) await Promise.resolve()
      await new Promise(setImmediate)
    }
    for (let i = 0; i < 4; i += 1) {
      await turns()
      clock.advance(500)
    }
    const share = Math.floor(300_000 / shards)
    // Half is for what is read.
    expect(wheels.condition.held).toBe(Math.floor(share / 2))
    const { does } = wheels.consumers[0]!
    if (!('many' in does)) throw new Error('it takes many')
    const row = new EventRow()
    for (let i = 0; i < 500; i += 1) {
      const set = {
        at: due - 1,
        id: `${i}`,
        token: `new ${i}`,
        command: { stream: 'a/b', name: 'c', payload: undefined },
      }
      const events = Array.from({ length: 16 }, (_, n) =>
        row.add('TimerSet', `$timer/x:${i}-${n}`, { ...set, token: `${i}-${n}` }),
      )
      await does.many(events, { shard: 0, signal: new AbortController().signal, effects: from() })
    }
    expect(wheels.condition.held).toBeLessThanOrEqual(share)
    expect(wheels.condition.held).toBeGreaterThan(share * 0.9)
    wheels.close()
  }
})

const Notes = defineAggregate({
  type: 'notes',
  initialState: () => 0,
  events: { Noted: (count, _note: { text: string }) => count + 1 },
  commands: { note: (_count, note: { text: string }, { emit }) => emit.Noted(note) },
})

test('a timer takes 512 bytes less than a command may, so that it fits into a bucket by itself', async () => {
  const effects = new MemoryEffects()
  const cause = { correlationId: 'c', causationId: 'e', after: 2 ** 52 }
  const of = { owner: 'o', effects, idempotencyKey: 'k', cause, time: new Date(0), onOther: () => undefined }
  const schedule = (length: number): Promise<void> =>
    new ReactorTimers(of).schedule(
      'a',
      { inMs: 1 },
      { aggregate: Notes, id: '1', command: 'note', payload: { text: 'x'.repeat(length) } },
    )
  const { message } = (await schedule(1_000_000).catch((error: unknown) => error)) as Error
  const [, bytes, most] = /takes (\d+) bytes with its command, and (\d+) is the most/.exec(message)!.map(Number)
  expect(most).toBe(effects.commandBytesMax - 512)
  const longest = 1_000_000 - (bytes! - most!)
  await schedule(longest)
  await expect(schedule(longest + 1)).rejects.toMatchObject({ code: 'BadTimer' })
  expect(effects.sent).toHaveLength(1)
})

test('what is done is recorded within about a second', async () => {
  const bench = new LaneBench()
  bench.add('a/0')
  bench.open()
  await bench.until(() => bench.done.length === 1)
  await bench.pass(1_100)
  // What the records say stands in the same row.
  expect(bench.effects.record(SHARD).place!.position).toBeGreaterThanOrEqual(bench.row.find('a/0', 1).position)
})

test('a handler whose time is up waits where an answer has taken half of it, and has failed where it has taken less', async () => {
  const outcomeAfter = async (answerMs: number): Promise<string> => {
    const [clock, effects] = [new SimulatedClock(), new MemoryEffects()]
    effects.onSent = () =>
      new Promise((resolve) => clock.after(answerMs, () => resolve({ kind: 'accepted', version: 1, position: 1 })))
    const attempt = new Attempt({ effects, clock, timeoutMs: 10_000 })
    const command = { stream: 'a/0', name: 'n', payload: undefined, commandId: '1' }
    const outcome = attempt.run(async () => {
      await attempt.ask({ ...command, correlationId: '', causationId: '', after: 0 })
      await new Promise(() => undefined)
    })
    for (let ms = 0; ms < 10_000; ms += 100) {
      await new Promise(setImmediate)
      clock.advance(100)
    }
    return (await outcome).kind
  }
  expect(await outcomeAfter(5_000)).toBe('waits')
  expect(await outcomeAfter(4_800)).toBe('failed')
})

test('a lane has about 4 MiB of events in its window, and no more than a thousand', async () => {
  expect(shardOf('a/0')).toBe(SHARD)
  const waitingOf = async (eventBytes: number): Promise<number> => {
    const bench = new LaneBench()
    bench.row.eventBytes = eventBytes
    bench.row.pageMax = 1
    for (let i = 0; i < 1_200; i += 1) bench.add('a/0')
    bench.onHandle = () => new Promise(() => undefined)
    const lane = bench.open()
    await bench.pass(3_000)
    return (await lane.status()).waiting
  }
  expect(await waitingOf(100)).toBe(1_000)
  const large = await waitingOf(64 * 1024 - 500)
  expect(large).toBeGreaterThanOrEqual(64)
  // What was read ahead comes in at once.
  expect(large).toBeLessThanOrEqual(65)
})

test('all windows of a node have 64 MiB together, whosever they are', async () => {
  const clock = new SimulatedClock()
  const memory = new MemoryEffects()
  const row = new EventRow()
  const eventBytes = MIB / 2
  row.eventBytes = eventBytes - 500
  row.pageMax = 1
  for (let i = 0; i < 20; i += 1) row.add('Done', 'a/0')
  const from = (): ShardEffects => ({
    ask: (command) => memory.ask(command),
    find: () => memory.find(),
    query: (question) => memory.query(question),
    append: () => memory.append(),
    load: () => memory.load(),
    inShard: (...name) => memory.inShard(...name),
    knows: () => true,
    commandBytesMax: MIB,
    from,
  })
  const consumers = new Consumers({
    consumers: Array.from({ length: 30 }, (_, i) => ({
      kind: 'reactor',
      name: `r${i}`,
      isWanted: ({ type }) => type === 'Done',
      startAt: 'beginning',
      onFailure: 'park',
      retries: 0,
      handlerTimeoutMs: 2 ** 31 - 1,
      concurrency: 1,
      does: { one: () => new Promise(() => undefined) },
    })),
    apart: new Set(),
    feeds: row.feeds('shard'),
    effects: from(),
    ids: new IdSource(clock, new SeededRandom(1)),
    clock,
    shards: 3,
    shardOf,
    shardsHere: () => new Map([[SHARD, 1]]),
    onWarning: () => undefined,
  })
  await consumers.start()
  for (let i = 0; i < 100; i += 1) {
    clock.advance(50)
    await new Promise(setImmediate)
  }
  const status = await Promise.all(Array.from({ length: 30 }, (_, i) => consumers.reactor(`r${i}`).status()))
  const waiting = status.flatMap(({ lanes }) => lanes).reduce((sum, lane) => sum + lane.waiting, 0)
  const room = (64 * MIB) / eventBytes
  expect(waiting).toBeGreaterThanOrEqual(room)
  // Each has a page at least, and one more that it had read by then.
  expect(waiting).toBeLessThanOrEqual(room + 2 * 30)
  const closing = consumers.close(0)
  for (let i = 0; i < 100; i += 1) {
    clock.advance(50)
    await new Promise(setImmediate)
  }
  await closing
})

test('the room for windows is of 64 MiB', () => {
  const room = new Room()
  room.take(64 * MIB - 1)
  expect(room.isFor(new Bell())).toBe(true)
  room.take(1)
  expect(room.isFor(new Bell())).toBe(false)
})
