import { expect, test } from 'vitest'
import { defineReactor, deriveId } from '../../src/index.ts'
import { EventFailed } from '../../src/react/consumer.ts'
import { reactorConsumer } from '../../src/react/reactor-consumer.ts'
import { Account } from '../account.ts'
import { placeOf } from '../read/event-row.ts'
import { away } from './memory-effects.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

test('events of one stream come one after the other, so many streams beside each other', async () => {
  const bench = new LaneBench({ concurrency: 2 })
  const open = new Map<string, () => void>()
  bench.onHandle = ({ id }) => new Promise<void>((resolve) => open.set(id, resolve))
  bench.add('a/0', 'a/0', 'a/3', 'a/6')
  bench.open()
  await bench.pass(500)
  expect(bench.begun).toEqual(['a/0/1', 'a/3/1'])
  open.get('a/3/1')!()
  await bench.pass(100)
  expect(bench.begun).toEqual(['a/0/1', 'a/3/1', 'a/6/1'])
  // What is done behind an event that is not is not recorded.
  await bench.pass(2_000)
  expect(bench.effects.record(SHARD).place!.position).toBeLessThan(bench.row.find('a/0', 1).position)
  open.get('a/0/1')!()
  await bench.pass(100)
  expect(bench.begun.at(-1)).toBe('a/0/2')
  open.get('a/0/2')!()
  open.get('a/6/1')!()
  await bench.until(() => bench.effects.record(SHARD).place!.position >= bench.row.find('a/6', 1).position)
})

test('one that fails is tried again alone, later and later, while others go on; then it is parked with its stream', async () => {
  const bench = new LaneBench({ retries: 3 })
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/3', 'a/0', 'a/3')
  const lane = bench.open()
  await bench.pass(50)
  expect(bench.done).toEqual(['a/3/1', 'a/3/2'])
  expect(await lane.status()).toMatchObject({
    state: 'waiting',
    trouble: { event: { stream: 'a/0', version: 1 }, attempts: 1 },
    waiting: 4,
  })
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  expect(bench.begun.filter((id) => id === 'a/0/1')).toHaveLength(4)
  expect(bench.effects.record(SHARD).parked).toMatchObject({
    'a/0': { version: 1, type: 'Done', reason: 'Error: a/0/1 is poison', isAsked: false, failures: 1 },
  })
  expect(bench.warnings).toEqual([
    expect.stringMatching(/has parked 'Done', version 1 of a\/0.*\. Mend that, .*penhold parked/),
  ])
  bench.add('a/0', 'a/3')
  await bench.until(() => bench.done.includes('a/3/3'))
  expect(bench.done).not.toContain('a/0/2')
  await bench.pass(2_000)
  expect(await lane.status()).toMatchObject({ state: 'caught up', parkedStreams: 1, waiting: 0, trouble: undefined })
})

test('what is parked is known to who takes the lane over, and is retried in order when somebody asks', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1').add('a/0/3')
  bench.add('a/0', 'a/0', 'a/0', 'a/0', 'a/3')
  await bench.during(bench.open().close(0))
  const first = bench.open()
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  await bench.during(first.close(0))
  expect(bench.done).toEqual(['a/3/1'])

  bench.open()
  bench.add('a/0')
  await bench.pass(2_000)
  expect(bench.done).toEqual(['a/3/1'])
  bench.poison.delete('a/0/1')
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.effects.record(SHARD).parked['a/0']?.version === 3)
  expect(bench.done).toEqual(['a/3/1', 'a/0/1', 'a/0/2'])
  expect(bench.effects.record(SHARD).parked['a/0']).toMatchObject({ isAsked: false, failures: 2 })
  bench.poison.clear()
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] === undefined)
  bench.add('a/0')
  await bench.until(() => bench.done.includes('a/0/6'))
  expect(bench.done).toEqual(['a/3/1', ...[1, 2, 3, 4, 5, 6].map((version) => `a/0/${version}`)])
})

test('what comes of a stream while its parked events are retried comes behind them', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/0')
  bench.open()
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  bench.poison.clear()
  bench.onHandle = ({ id }) => {
    if (id !== 'a/0/1' && id !== 'a/0/2') return
    bench.add('a/0')
    return bench.turns(20)
  }
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.done.length === 4)
  expect(bench.done).toEqual(['a/0/1', 'a/0/2', 'a/0/3', 'a/0/4'])
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] === undefined)
})

test('a parked event is skipped by hand alone, and those behind it wait until they are retried', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1').add('a/3/1')
  bench.add('a/0', 'a/0', 'a/3')
  bench.open()
  await bench.until(() => Object.keys(bench.effects.record(SHARD).parked).length === 2)
  await bench.operate('skip', { stream: 'a/0', version: 1, reason: 'by hand' })
  await bench.operate('skip', { stream: 'a/3', version: 1, reason: 'by hand' })
  // Nothing waits behind this one, so that its stream flows again.
  await bench.until(() => bench.effects.record(SHARD).parked['a/3'] === undefined)
  await bench.pass(1_000)
  expect(bench.effects.record(SHARD).parked).toMatchObject({ 'a/0': { version: 2, reason: '' } })
  expect(bench.done).toEqual([])
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] === undefined)
  bench.add('a/3', 'a/0')
  await bench.until(() => bench.done.length === 3)
  expect(bench.done.toSorted()).toEqual(['a/0/2', 'a/0/3', 'a/3/2'])
})

test('one that halts holds its lane, and goes on when somebody resumes it, also where it reads no more', async () => {
  const bench = new LaneBench({ retries: 0, onFailure: 'halt' })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => lane.condition === 'halted')
  for (let n = 0; n < 1_500; n += 1) bench.add('a/3')
  await bench.pass(2_000)
  expect(bench.done).toEqual([])
  expect(await lane.status()).toMatchObject({ state: 'halted', waiting: 1_000 })
  expect(bench.warnings).toEqual([expect.stringContaining('stands still before this event')])
  bench.poison.clear()
  await bench.operate('resume')
  await bench.until(() => bench.done.length === 1_501)
  expect(lane.condition).toBe('running')
})

test('one that is paused begins nothing, whoever runs it, until it is resumed', async () => {
  const bench = new LaneBench()
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => bench.done.length === 1)
  await bench.operate('pause')
  await bench.until(() => lane.condition === 'paused')
  bench.add('a/0')
  await bench.during(lane.close(0))
  const next = bench.open()
  await bench.pass(3_000)
  expect(bench.done).toHaveLength(1)
  expect(next.condition).toBe('paused')
  await bench.operate('resume')
  await bench.until(() => bench.done.length === 2)
})

test('what is done is not done again because an event before it is not, and its window has a bound', async () => {
  const bench = new LaneBench({ retries: 1_000 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  for (let n = 0; n < 2_000; n += 1) bench.add('a/3')
  bench.open()
  await bench.pass(20_000)
  // The one that fails is one of its 1,000.
  expect(bench.done).toHaveLength(999)
  // Nor where its feed fails meanwhile.
  bench.row.failures = 2
  bench.poison.clear()
  await bench.until(() => bench.done.length === 2_001)
  expect(new Set(bench.done).size).toBe(2_001)
})

test('after a crash what was done and not recorded is done again, in order', async () => {
  const bench = new LaneBench()
  bench.add('a/0', 'a/3', 'a/0')
  bench.open()
  await bench.until(() => bench.done.length === 3)
  // The first has died before it could record anything: another begins where the record stands.
  bench.open()
  await bench.until(() => bench.done.length === 6)
  expect(bench.done.slice(3)).toEqual(['a/0/1', 'a/3/1', 'a/0/2'])
})

test('where somebody else has gone on, all begins from what is recorded', async () => {
  const bench = new LaneBench()
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => (bench.effects.record(SHARD).place?.position ?? 0) > 0)
  // Another runs the lane, and is far ahead of this one.
  const { place } = bench.effects.record(SHARD)
  const ahead = { position: bench.row.head + 20 * 4_096, shard: SHARD }
  await bench.operate('advance', { from: place, turn: 0, to: ahead })
  bench.add('a/0', 'a/3')
  await bench.pass(3_000)
  expect(bench.effects.record(SHARD).place).toEqual(ahead)
  for (let n = 0; n < 20; n += 1) bench.row.add('Other', 'a/0')
  bench.add('a/3')
  await bench.until(() => bench.done.at(-1) === 'a/3/2')
  await bench.until(() => bench.effects.record(SHARD).place!.position >= bench.row.find('a/3', 2).position)
  expect(lane.condition).toBe('running')
})

test('a handler has its time, and what it sends after that has no effect', async () => {
  const bench = new LaneBench({ handlerTimeoutMs: 300, retries: 0 })
  const command = {
    stream: 'b/1',
    name: 'go',
    payload: undefined,
    commandId: '',
    correlationId: '',
    causationId: '',
    after: 1,
  }
  let late: Promise<unknown> | undefined
  let isAborted = false
  bench.onHandle = ({ stream }, { signal, effects }) => {
    if (stream !== 'a/0') return
    return new Promise(() => {
      signal.addEventListener('abort', () => {
        isAborted = true
        late = effects.ask(command)
        late.catch(() => undefined)
      })
    })
  }
  bench.add('a/0', 'a/3')
  bench.open()
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  expect(bench.effects.record(SHARD).parked['a/0']!.reason).toContain('has not ended within 300 ms')
  expect(isAborted).toBe(true)
  await expect(late).rejects.toMatchObject({ code: 'Aborted', outcome: 'none' })
  expect(bench.effects.sent).toEqual([])
  expect(bench.done).toEqual(['a/3/1'])
})

test('what of the log does not answer is no event’s fault: it is waited for, and told', async () => {
  const bench = new LaneBench({ retries: 0 })
  let isAway = true
  bench.effects.onSent = async () => {
    if (isAway) throw away()
    return { kind: 'accepted', version: 1, position: 1 }
  }
  bench.onHandle = async ({ id, position }, { effects, idempotencyKey }) => {
    const ids = { commandId: idempotencyKey, correlationId: '', causationId: id }
    await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: position })
  }
  bench.add('a/0')
  const lane = bench.open()
  await bench.pass(60_000)
  expect(bench.effects.record(SHARD).parked).toEqual({})
  expect(await lane.status()).toMatchObject({ state: 'waiting', trouble: { message: 'nobody serves it' } })
  isAway = false
  await bench.until(() => bench.done.length === 1)
  expect(new Set(bench.effects.sent.map(({ commandId }) => commandId))).toEqual(
    new Set([deriveId('reaction', 'reactor:mails', 'a/0/1', 'a/0', 1)]),
  )
  await bench.pass(100)
  expect(lane.condition).toBe('running')
})

test('a step of the record whose answer is lost is taken once', async () => {
  const bench = new LaneBench({ retries: 1 })
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/3')
  bench.open()
  await bench.until(() => bench.done.length === 1)
  bench.effects.faults.push('after', 'before', 'after', 'before')
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  await bench.until(() => bench.effects.record(SHARD).place!.position >= bench.row.find('a/3', 1).position)
  expect(bench.effects.record(SHARD).parked['a/0']!.failures).toBe(1)
  expect(bench.done).toEqual(['a/3/1'])
})

test('it ends in a bounded time, whatever its handlers do, and records what is done', async () => {
  const bench = new LaneBench()
  bench.onHandle = ({ id }) => (id === 'a/3/1' ? new Promise(() => undefined) : undefined)
  bench.add('a/0', 'a/3', 'a/6')
  const lane = bench.open()
  await bench.until(() => bench.done.length === 2)
  const since = bench.clock.monotonic()
  await bench.during(lane.close(500))
  expect(bench.clock.monotonic() - since).toBeLessThan(3_000)
  expect(bench.effects.record(SHARD).place).toEqual(placeOf(bench.row.find('a/0', 1)))
  bench.add('a/9')
  await bench.pass(1_000)
  expect(bench.done).toEqual(['a/0/1', 'a/6/1'])
})

test('where it starts is decided once: now, the beginning, or behind a position', async () => {
  for (const startAt of ['now', 'beginning', 'behind the first'] as const) {
    const bench = new LaneBench({ startAt: 'beginning' })
    bench.add('a/0', 'a/0')
    const position = bench.row.find('a/0', 1).position
    const settings = { startAt: startAt === 'behind the first' ? position : startAt }
    const own = new LaneBench(settings)
    own.add('a/0', 'a/0')
    const lane = own.open()
    await own.pass(500)
    own.add('a/0')
    await own.until(() => own.done.includes('a/0/3'))
    const first = { now: 3, beginning: 1, 'behind the first': 2 }[startAt]
    expect(own.done[0], startAt).toBe(`a/0/${first}`)
    await own.during(lane.close(0))
    const count = own.done.length
    own.open()
    own.add('a/0')
    await own.until(() => own.done.length > count)
    expect(own.done.at(-1)).toBe('a/0/4')
  }
})

test('many are handled at once, in their order; one that fails holds back its stream alone', async () => {
  const bench = new LaneBench({ retries: 1 })
  const batches: string[][] = []
  bench.poison.add('a/0/2')
  bench.add('a/0', 'a/3', 'a/0', 'a/3', 'a/0', 'a/6')
  bench.row.pageMax = 10
  bench.open({
    most: 4,
    many: async (events) => {
      batches.push(events.map(({ id }) => id))
      const failed = events.find(({ id }) => bench.poison.has(id))
      for (const event of events) {
        if (event === failed) throw new EventFailed(event, new Error('poison'))
        bench.done.push(event.id)
      }
    },
  })
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  expect(batches[0]).toEqual(['a/0/1', 'a/3/1', 'a/0/2', 'a/3/2'])
  expect(batches[1]).toEqual(['a/3/2', 'a/6/1'])
  expect(bench.done).toEqual(['a/0/1', 'a/3/1', 'a/3/2', 'a/6/1'])
  expect(bench.effects.record(SHARD).parked['a/0']).toMatchObject({ version: 2, reason: 'Error: poison' })
  bench.poison.clear()
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.done.length === 6)
  expect(bench.done.slice(4)).toEqual(['a/0/2', 'a/0/3'])
})

test('whatever else fails of many is waited for, and they are given again', async () => {
  const bench = new LaneBench({ retries: 0 })
  let failures = 7
  bench.add('a/0', 'a/3')
  const lane = bench.open({
    most: 10,
    many: async (events) => {
      if ((failures -= 1) >= 0) throw new Error('the publisher is away')
      bench.done.push(...events.map(({ id }) => id))
    },
  })
  await bench.pass(2_000)
  expect(await lane.status()).toMatchObject({ state: 'waiting', trouble: { message: 'Error: the publisher is away' } })
  await bench.until(() => bench.done.length === 2)
  expect(bench.effects.record(SHARD).parked).toEqual({})
})

test('what is not wanted is gone past, and seldom recorded', async () => {
  const bench = new LaneBench()
  bench.row.pageMax = 1_000
  bench.open()
  await bench.pass(500)
  for (let n = 0; n < 5_000; n += 1) bench.row.add('Other', 'a/0')
  await bench.pass(5_000)
  expect(bench.effects.steps).toEqual(['Begun'])
  for (let n = 0; n < 5_000; n += 1) bench.row.add('Other', 'a/0')
  await bench.until(() => bench.effects.steps.length === 2)
  // Its own steps, and those of others, are no reason for another.
  bench.row.add('Advanced', '$consumer/reactor:others~0')
  await bench.pass(200_000)
  bench.row.add('Advanced', '$consumer/reactor:others~0')
  await bench.pass(2_000)
  expect(bench.effects.steps).toEqual(['Begun', 'Advanced'])
  bench.row.add('Other', 'a/0')
  await bench.pass(100)
  await bench.until(() => bench.effects.steps.length === 3)
})

test('what a handler tells late is waited for as well, and the event begun again where nobody answers', async () => {
  const bench = new LaneBench()
  const late = defineReactor({
    name: 'late',
    from: 'all',
    startAt: 'beginning',
    on: {
      Done: async (_event, { tell, schedule }) => {
        await Promise.resolve()
        tell(Account, '1', 'deposit', { amount: 1 })
        void schedule('soon', { inMs: 1 }, Account, '1', 'deposit', { amount: 2 }).catch(() => undefined)
      },
    },
  })
  let refusals = 4
  bench.effects.onSent = async () => {
    await bench.turns(3)
    if ((refusals -= 1) >= 0) throw away()
    return { kind: 'accepted', version: 1, position: 1 }
  }
  bench.add('a/0')
  const lane = bench.open(reactorConsumer(late, () => undefined).does)
  await bench.pass(5_000)
  expect(bench.effects.sent.map(({ name }) => name)).toEqual(['deposit', 'set', 'deposit', 'set', 'deposit', 'set'])
  expect(new Set(bench.effects.sent.map(({ commandId }) => commandId)).size).toBe(2)
  expect(lane.events).toBe(1)
})

test('who has missed that something was parked or unparked is refused, though no place has moved', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  const former = bench.open()
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
  await bench.during(former.close(0))
  await bench.operate('retry', { stream: 'a/0' })
  bench.poison.clear()
  bench.onHandle = ({ id }) => (id === 'a/0/1' ? new Promise(() => undefined) : undefined)
  const next = bench.open()
  await bench.until(() => bench.begun.filter((id) => id === 'a/0/1').length === 2)
  // The former one had begun the retry as well, wakes up, and says that it has done all there was; then it is gone.
  const { place, turn } = bench.effects.record(SHARD)
  await bench.operate('unpark', { from: place, turn, stream: 'a/0', next: 2, until: place })
  bench.add('a/0', 'a/3')
  await bench.pass(3_000)
  await bench.during(next.close(0))
  bench.open()
  await bench.pass(3_000)
  expect(bench.done).toContain('a/3/1')
  expect(bench.done).toContain('a/0/2')
})
