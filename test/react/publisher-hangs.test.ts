/** A publisher whose call does not come to an end, at one message or at all, and what becomes of it later. */
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { defineOutbox, PublishRefused, type OutboxMessage, type Publish } from '../../src/index.ts'
import { openOutbox } from '../../src/react/open-outbox.ts'
import { PublisherLate, type OpenPublisher } from '../../src/react/publisher.ts'
import { ShardPublishing, UNENDED_MAX, type Known, type Mapped } from '../../src/react/shard-publishing.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { OutboxSettings } from '../../src/react/outbox.ts'
import { inTime } from '../in-time.ts'
import { shardOf } from '../read/event-row.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

const streams = ['a/0', 'a/3', 'a/6', 'a/9', 'a/10']
const CALL_MS = 2_000
const RUNS = Number(process.env['RUNS'] ?? 200)

/** A lane of an outbox over a clock that is advanced by hand. */
function open(publisher: (bench: LaneBench) => Publish, settings: OutboxSettings = {}) {
  const bench = new LaneBench()
  const outbox = defineOutbox({
    name: 'deposits',
    startAt: 'beginning',
    from: 'all',
    map: { Done: () => ({ type: 'done' }) },
    publisher: publisher(bench),
    handlerTimeoutMs: CALL_MS,
    ...settings,
  })
  const opened = openOutbox(outbox, bench.clock)
  onTestFinished(() => opened.close(() => undefined))
  const { does, retries, onFailure, handlerTimeoutMs } = opened.consumer
  const start = () => bench.open(does, { retries, onFailure, handlerTimeoutMs })
  return { bench, start, parked: () => bench.effects.record(SHARD).parked }
}

function nameOf({ stream, event }: OutboxMessage): string {
  return `${stream}/${event.version}`
}

const HANGS = {
  'ends when it is given up': (signal: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  'never ends': (): Promise<never> => new Promise(() => undefined),
}

test.for(Object.entries(HANGS))(
  'a call that hangs at one message, and %s, holds back its stream alone, and it is parked at last',
  async ([, hang]) => {
    const there: string[] = []
    let calls = 0
    const { bench, start, parked } = open(() => async (messages, { signal, published }) => {
      for (const message of messages) {
        if (message.stream === 'a/0') {
          calls += 1
          await hang(signal)
        }
        there.push(nameOf(message))
        published(message)
      }
    })
    for (let i = 0; i < 4; i += 1) bench.add(...streams)
    start()
    // One call for all, then each alone.
    await bench.pass(3 * CALL_MS)
    expect(there).toHaveLength(16)
    expect(parked()).toEqual({})
    // While it is tried again, the others go on.
    for (let i = 0; i < 20; i += 1) {
      bench.add('a/3')
      await bench.pass(100)
      expect(there).toHaveLength(17 + i)
    }
    await bench.pass(155_000)
    expect(parked()['a/0']).toMatchObject({ version: 1 })
    expect(parked()['a/0']!.reason).toContain('its publisher has not come to an end in 2000 ms (handlerTimeoutMs)')
    expect(Object.keys(parked())).toEqual(['a/0'])
    const before = calls
    await bench.pass(155_000)
    expect(calls).toBe(before)
  },
)

test('a publisher that hangs at whatever it is given parks nothing, and goes on when it does', async () => {
  let isHanging = true
  const there = new Set<string>()
  let calls = 0
  const { bench, start, parked } = open(() => async (messages) => {
    calls += 1
    if (isHanging) await new Promise(() => undefined)
    for (const { id } of messages) there.add(id)
  })
  bench.add(...streams, ...streams)
  start()
  await bench.pass(600_000)
  expect(parked()).toEqual({})
  expect(calls).toBeLessThan(100)
  isHanging = false
  await bench.until(() => there.size === 10)
})

test('several that hang at once are told apart, each as its own', async () => {
  const there: string[] = []
  const bad = ['a/0', 'a/3', 'a/6']
  const { bench, start, parked } = open(() => async (messages, { signal }) => {
    if (messages.some(({ stream }) => bad.includes(stream))) await HANGS['ends when it is given up'](signal)
    there.push(...messages.map(nameOf))
  })
  bench.add(...streams)
  start()
  await bench.pass(20 * CALL_MS)
  expect(new Set(there)).toEqual(new Set(['a/9/1', 'a/10/1']))
  expect(parked()).toEqual({})
  await bench.pass(155_000)
  expect(Object.keys(parked()).toSorted()).toEqual(bad)
})

test.each([
  ['nobody else', false],
  ['others all the time', true],
])(
  'many that hang at once, while it takes %s, push none of them out of what is known: all others arrive in order, and they are parked',
  async (_who, isBusy) => {
    const all = Array.from({ length: 2_000 }, (_, n) => `a/${n}`).filter((stream) => shardOf(stream) === SHARD)
    const bad = new Set(all.slice(1, 151))
    const good = [all[0]!, ...all.slice(151, 171)]
    const there: string[] = []
    const { bench, start, parked } = open(
      () =>
        async (messages, { signal }) => {
          for (const message of messages) {
            if (bad.has(message.stream)) await HANGS['ends when it is given up'](signal)
            there.push(nameOf(message))
          }
        },
      { handlerTimeoutMs: 200 },
    )
    // Among them, in front of others.
    if (isBusy) bench.add(all[0]!)
    bench.add(...bad, ...good.slice(1), ...bad, ...good.slice(1))
    start()
    for (let passed = 0; passed < 2_500; passed += 1) {
      if (isBusy && passed % 10 === 0) bench.add(all[0]!)
      await bench.pass(1_000)
    }
    for (const stream of good.slice(isBusy ? 0 : 1)) {
      const versions = [...new Set(there)].filter((id) => streamOf(id) === stream).map(versionOf)
      expect(versions, stream).toEqual(
        Array.from({ length: bench.row.events.filter((event) => event.stream === stream).length }, (_, i) => i + 1),
      )
    }
    expect(Object.keys(parked()).toSorted()).toEqual([...bad].toSorted())
  },
  60_000,
)

test('one that has failed is tried again also where others are under way at any time', async () => {
  const there: string[] = []
  let tries = 0
  let isMore = true
  const { bench, start } = open((world) => async (messages) => {
    if (isMore) world.row.add('Done', 'a/3')
    await new Promise<void>((resolve) => world.clock.after(100, resolve))
    for (const message of messages) {
      if (message.stream === 'a/0' && (tries += 1) <= 3) throw new PublishRefused(message, 'not yet')
      there.push(nameOf(message))
    }
  })
  bench.add(...streams)
  start()
  await bench.pass(10_000)
  expect(there).toContain('a/0/1')
  isMore = false
})

test('a message that takes longer than a call may, and is said to have arrived, is done with', async () => {
  const there: string[] = []
  const { bench, start, parked } = open((world) => async (messages, { published }) => {
    for (const message of messages) {
      if (message.stream === 'a/0') await new Promise<void>((resolve) => world.clock.after(1.5 * CALL_MS, resolve))
      there.push(nameOf(message))
      published(message)
    }
  })
  bench.add(...streams)
  start()
  await bench.pass(5 * CALL_MS)
  expect(new Set(there)).toEqual(new Set(streams.map((stream) => `${stream}/1`)))
  const count = there.length
  await bench.pass(30 * CALL_MS)
  expect(there).toHaveLength(count)
  expect(parked()).toEqual({})
})

test('a call that was given up and resolves all the same says nothing of what has arrived', async () => {
  const there: string[] = []
  let tries = 0
  const { bench, start } = open(() => async (messages, { signal }) => {
    tries += 1
    if (tries <= 2) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      return
    }
    there.push(...messages.map(nameOf))
  })
  bench.add(...streams)
  start()
  await bench.until(() => there.length === 5)
})

/** What a publisher does with a message: at each of its first tries something else, and what it does from then on. */
type Way = 'takes' | 'refuses' | 'fails' | 'hangs' | 'is late'

const ways = (...among: Way[]): fc.Arbitrary<Way> => fc.constantFrom(...among)
const where = { stream: fc.nat(3), version: fc.integer({ min: 1, max: 4 }) }
const plans = fc.record({
  events: fc.array(fc.nat(3), { minLength: 1, maxLength: 40 }),
  /** These come to be taken. */
  bad: fc.array(
    fc.record({ ...where, first: fc.array(ways('refuses', 'fails', 'hangs', 'is late'), { maxLength: 3 }) }),
    {
      maxLength: 4,
    },
  ),
  /** These never do. */
  never: fc.array(fc.record({ ...where, way: ways('refuses', 'fails', 'hangs', 'is late') }), { maxLength: 2 }),
  away: fc.array(fc.record({ after: fc.nat(10_000), ms: fc.nat(20_000), hangs: fc.boolean() }), { maxLength: 2 }),
  /** What it is given up for it leaves off, or goes on with. */
  heeds: fc.boolean(),
  tells: fc.boolean(),
  lateMs: fc.integer({ min: 1, max: 4 * CALL_MS }),
  batchMax: fc.constantFrom(1, 2, 7, 1_000),
})

type Plan = typeof plans extends fc.Arbitrary<infer P> ? P : never

/** It was parked when it was refused for the first time, as it had been away alone before. */
const REFUSED_AT_LAST: Plan = {
  events: [0, 1],
  bad: [{ stream: 0, version: 1, first: ['hangs', 'fails', 'refuses'] }],
  never: [],
  away: [{ after: 2051, ms: 1451, hangs: false }],
  heeds: false,
  tells: false,
  lateMs: 1,
  batchMax: 1_000,
}

/** Takes messages one after the other, each in its way. */
class Place {
  readonly there: string[] = []
  readonly #plan: Plan
  readonly #tries = new Map<string, number>()
  isAway: 'no' | 'fails' | 'hangs' = 'no'

  constructor(plan: Plan) {
    this.#plan = plan
  }

  over({ clock }: LaneBench): Publish {
    const { heeds, tells, lateMs } = this.#plan
    return async (messages, { signal, published }) => {
      for (const message of messages) {
        if (heeds) signal.throwIfAborted()
        const name = nameOf(message)
        const way = this.#wayOf(name)
        if (way === 'refuses') throw new PublishRefused(message, 'no')
        if (way === 'fails') throw new Error(`500 at ${name}`)
        if (way === 'hangs') await (heeds ? HANGS['ends when it is given up'](signal) : HANGS['never ends']())
        if (way === 'is late') await new Promise<void>((resolve) => clock.after(lateMs, resolve))
        this.there.push(name)
        if (tells) published(message)
      }
    }
  }

  #wayOf(name: string): Way {
    if (this.isAway !== 'no') return this.isAway
    const tries = (this.#tries.get(name) ?? 0) + 1
    this.#tries.set(name, tries)
    const isIt = ({ stream, version }: { stream: number; version: number }): boolean =>
      name === `${streams[stream]}/${version}`
    const never = this.#plan.never.find(isIt)
    if (never !== undefined) return never.way
    return this.#plan.bad.find(isIt)?.first[tries - 1] ?? 'takes'
  }
}

test(
  'whatever hangs, is refused, fails or comes late, the others arrive, all in order, and what never does is parked alone',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const place = new Place(plan)
        const { there } = place
        const { bench, start, parked } = open((world) => place.over(world), { batchMax: plan.batchMax })
        const added = plan.events.map((i) => bench.row.add('Done', streams[i]!).id)
        start()
        for (const { after, ms, hangs } of plan.away) {
          await bench.pass(after)
          place.isAway = hangs ? 'hangs' : 'fails'
          await bench.pass(ms)
          place.isAway = 'no'
        }
        /** Up to which version a stream is to arrive, and whether it goes no further. */
        const ends = new Map<string, { readonly before: number; readonly isSurely: boolean }>()
        for (const id of added) {
          const never = plan.never.find(({ stream, version }) => id === `${streams[stream]}/${version}`)
          if (never === undefined || ends.has(streamOf(id)) || (never.way === 'is late' && plan.tells)) continue
          ends.set(streamOf(id), { before: versionOf(id), isSurely: never.way !== 'is late' })
        }
        const due = added.filter((id) => versionOf(id) < (ends.get(streamOf(id))?.before ?? Number.POSITIVE_INFINITY))
        const stuck = [...ends].filter(([, { isSurely }]) => isSurely).map(([stream]) => stream)
        let others = 0
        for (let i = 0; i < 200; i += 1) {
          if (due.every((id) => there.includes(id)) && stuck.every((stream) => parked()[stream] !== undefined)) break
          bench.add('a/10')
          others += 1
          await bench.pass(CALL_MS)
        }
        const arrived = (stream: string): readonly number[] =>
          [...new Set(there)].filter((id) => streamOf(id) === stream).map(versionOf)
        await bench.until(() => arrived('a/10').length === others)
        for (const stream of streams) {
          const versions = arrived(stream)
          expect(versions, stream).toEqual(versions.map((_, i) => i + 1))
          const isOpen = ends.get(stream)?.isSurely === false
          const last = due.filter((id) => streamOf(id) === stream).length
          if (stream !== 'a/10') expect(isOpen ? Math.min(versions.length, last) : versions.length, stream).toBe(last)
        }
        expect(stuck.filter((stream) => parked()[stream] === undefined)).toEqual([])
        expect(Object.keys(parked()).filter((stream) => !ends.has(stream))).toEqual([])
      }),
      { ...inTime(), numRuns: RUNS, examples: [[REFUSED_AT_LAST]] },
    )
  },
)

function streamOf(id: string): string {
  return id.slice(0, id.lastIndexOf('/'))
}

function versionOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('/') + 1))
}

test('calls that never end are as many as may be, and where one ends after all, one more is made', async () => {
  const clock = new SimulatedClock()
  const known: Known = { taken: 0, away: 0, unended: 0 }
  const ends: (() => void)[] = []
  const publisher: OpenPublisher = {
    publish: () => new Promise<void>((resolve) => ends.push(resolve)),
    close: async () => undefined,
  }
  const publishing = new ShardPublishing({ publisher, known, most: 1, callMs: 10, clock })
  const signal = new AbortController().signal
  const publish = async (): Promise<unknown> => {
    const attempt = publishing.publish(
      [{ event: {}, message: { id: '1', stream: 'a/1', event: {} } } as Mapped],
      signal,
    )
    const told = attempt.catch((error: unknown) => error)
    await new Promise(setImmediate)
    clock.advance(10)
    return await told
  }
  for (let i = 0; i < UNENDED_MAX; i += 1) expect(await publish()).toBeInstanceOf(PublisherLate)
  expect(await publish()).toMatchObject({
    message: expect.stringContaining('have not come to an end, which is the limit'),
  })
  expect(ends).toHaveLength(UNENDED_MAX)
  ends[0]!()
  await expect.poll(() => known.unended).toBe(UNENDED_MAX - 1)
  expect(await publish()).toBeInstanceOf(PublisherLate)
  expect(ends).toHaveLength(UNENDED_MAX + 1)
})
