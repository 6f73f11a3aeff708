/** What is parked is tried again while somebody does something else with it. */
import { expect, test } from 'vitest'
import { placeOf } from '../../src/read/all.ts'
import type { ParkedStream } from '../../src/react/consumer-record.ts'
import { away } from './memory-effects.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

const parkedOf = (bench: LaneBench, stream: string): ParkedStream | undefined =>
  bench.effects.record(SHARD).parked[stream]

/** A lane that has parked the first event of each of these streams, each as long as it is named. */
async function parkedBench(...streams: readonly string[]): Promise<LaneBench> {
  const bench = new LaneBench({ retries: 0 })
  for (const stream of streams) bench.poison.add(`${stream}/1`)
  bench.add(...streams)
  bench.open()
  for (const stream of streams) await bench.until(() => parkedOf(bench, stream) !== undefined)
  bench.poison.clear()
  bench.begun.length = 0
  return bench
}

test('what is skipped while it is tried again stays skipped though it fails, and the others are tried', async () => {
  const bench = await parkedBench('a/0')
  bench.add('a/0')
  const first = Promise.withResolvers<void>()
  bench.onHandle = ({ id }) => (id === 'a/0/1' ? first.promise : undefined)
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.length === 1)
  await bench.operate('skip', { stream: 'a/0', version: 1, reason: 'by hand' })
  await bench.pass(1_000)
  first.reject(new Error('no'))
  await bench.until(() => parkedOf(bench, 'a/0') === undefined)
  expect(bench.begun).toEqual(['a/0/1', 'a/0/2'])
  expect(bench.done).toEqual(['a/0/2'])
})

test('nor is it where the lane has not read of it when the attempt fails', async () => {
  const bench = await parkedBench('a/0')
  bench.add('a/0')
  const before = bench.effects.onRecorded
  bench.effects.onRecorded = (stream, type) => void (type !== 'Skipped' && before(stream, type))
  bench.onHandle = async ({ id }) => {
    if (id !== 'a/0/1') throw new Error('neither')
    await bench.operate('skip', { stream: 'a/0', version: 1, reason: 'by hand' })
    throw new Error('no')
  }
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => parkedOf(bench, 'a/0')?.failures === 3)
  expect(parkedOf(bench, 'a/0')).toMatchObject({ version: 2, reason: 'Error: neither', isAsked: false })
})

test('what has come and is skipped while what stands before it is tried again is told of, though that is done', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  const told: string[] = []
  bench.open(undefined, { givesUp: async ({ id }) => void told.push(id) })
  await bench.until(() => parkedOf(bench, 'a/0') !== undefined)
  bench.poison.clear()
  const first = Promise.withResolvers<void>()
  bench.onHandle = ({ id }) => (id === 'a/0/1' ? first.promise : undefined)
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.length === 2)
  // Whoever reads the stream has found its end by now.
  bench.add('a/0')
  for (const version of [1, 2]) await bench.operate('skip', { stream: 'a/0', version, reason: 'by hand' })
  await bench.pass(1_000)
  first.resolve()
  await bench.until(() => parkedOf(bench, 'a/0') === undefined)
  expect(told).toContain('a/0/2')
  bench.add('a/0')
  await bench.until(() => bench.done.includes('a/0/3'))
  expect(bench.begun).toEqual(['a/0/1', 'a/0/1', 'a/0/3'])
})

for (const when of ['before it is recorded', 'while it is recorded'] as const)
  test(`what comes and is skipped when all before it is done is told of and not begun, though its lane finds it ${when}`, async () => {
    const bench = new LaneBench({ retries: 0 })
    bench.poison.add('a/0/1')
    bench.add('a/0', 'a/3')
    // What is under way goes on, and is not begun again.
    bench.onHandle = ({ stream }) => (stream === 'a/3' ? new Promise(() => undefined) : undefined)
    const told: string[] = []
    bench.open(undefined, { givesUp: async ({ id }) => void told.push(id) })
    await bench.until(() => parkedOf(bench, 'a/0') !== undefined)
    bench.poison.clear()
    const ask = bench.effects.ask.bind(bench.effects)
    let isFirst = true
    bench.effects.ask = async (command) => {
      if (command.name === 'unpark' && isFirst) {
        isFirst = false
        bench.add('a/0')
        if (when === 'while it is recorded') await bench.turns()
        for (const version of [1, 2]) await bench.operate('skip', { stream: 'a/0', version, reason: 'by hand' })
      }
      return await ask(command)
    }
    await bench.operate('retry', { stream: 'a/0' })
    await bench.until(() => !isFirst && parkedOf(bench, 'a/0') === undefined)
    bench.add('a/0')
    await bench.until(() => bench.done.includes('a/0/3'))
    expect(bench.begun).toEqual(['a/0/1', 'a/3/1', 'a/0/1', 'a/0/3'])
    expect(told).toContain('a/0/2')
  })

test('what comes while its stream is unparked is begun once that is so, though the answer is long in coming', async () => {
  const bench = await parkedBench('a/0')
  const ask = bench.effects.ask.bind(bench.effects)
  const answer = Promise.withResolvers<void>()
  bench.effects.ask = async (command) => {
    const outcome = await ask(command)
    if (command.name === 'unpark') await answer.promise
    return outcome
  }
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => parkedOf(bench, 'a/0') === undefined)
  bench.add('a/0', 'a/3')
  await bench.pass(3_000)
  expect(bench.begun).toEqual(['a/0/1'])
  answer.resolve()
  await bench.until(() => bench.done.length === 3)
  expect(bench.begun).toEqual(['a/0/1', 'a/0/2', 'a/3/1'])
})

test('what is skipped while its next attempt is waited for is not begun', async () => {
  const bench = await parkedBench('a/0')
  bench.add('a/0')
  bench.effects.onSent = () => Promise.reject(away())
  bench.onHandle = async ({ id, position }, { effects }) => {
    if (id !== 'a/0/1') return
    const ids = { commandId: id, correlationId: '', causationId: id }
    await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: position })
  }
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.length === 5)
  await bench.operate('skip', { stream: 'a/0', version: 1, reason: 'by hand' })
  await bench.until(() => parkedOf(bench, 'a/0') === undefined)
  expect(bench.begun).toEqual([...Array.from({ length: 5 }, () => 'a/0/1'), 'a/0/2'])
})

test('one that has to wait lets the others go on, and goes on itself', async () => {
  const bench = await parkedBench('a/0', 'a/3', 'a/6')
  let isAway = true
  bench.effects.onSent = async () => {
    if (isAway) throw away()
    return { kind: 'accepted', version: 1, position: 1 }
  }
  bench.onHandle = async ({ stream, id, position }, { effects }) => {
    if (stream !== 'a/0') return
    const ids = { commandId: id, correlationId: '', causationId: id }
    await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: position })
  }
  for (const stream of ['a/0', 'a/3', 'a/6']) await bench.operate('retry', { stream })
  await bench.until(() => bench.done.length === 2)
  expect(bench.done).toEqual(['a/3/1', 'a/6/1'])
  await bench.until(() => parkedOf(bench, 'a/6') === undefined)
  const { length } = bench.begun
  await bench.pass(60_000)
  // Later and later.
  expect(bench.begun.length - length).toBeLessThan(15)
  isAway = false
  await bench.until(() => parkedOf(bench, 'a/0') === undefined)
  expect(bench.done).toEqual(['a/3/1', 'a/6/1', 'a/0/1'])
})

test('what somebody else has unparked meanwhile is not tried: all begins from what is recorded', async () => {
  const bench = await parkedBench('a/0')
  const query = bench.effects.query.bind(bench.effects)
  const gate = Promise.withResolvers<void>()
  bench.effects.query = async (question) => {
    if (question.name === 'parked') await gate.promise
    return await query(question)
  }
  await bench.operate('retry', { stream: 'a/0' })
  await bench.pass(1_000)
  const { place, turn } = bench.effects.record(SHARD)
  const until = bench.row.find('a/0', 1)
  await bench.operate('unpark', { from: place, turn, stream: 'a/0', next: 2, until: placeOf(until) })
  gate.resolve()
  bench.add('a/0')
  await bench.until(() => bench.done.length === 1)
  expect(bench.begun).toEqual(['a/0/2'])
})

for (const [what, isDone] of [
  ['is unparked there, too, once it is done', true],
  ['and that was unparked by somebody else is not parked once it fails', false],
] as const)
  test(`what is tried again while its lane begins anew ${what}`, async () => {
    const bench = await parkedBench('a/0')
    const first = Promise.withResolvers<void>()
    bench.onHandle = ({ id }) => (id === 'a/0/1' ? first.promise : undefined)
    await bench.operate('retry', { stream: 'a/0' })
    await bench.until(() => bench.begun.length === 1)
    const query = bench.effects.query.bind(bench.effects)
    const gate = Promise.withResolvers<void>()
    let isLoading = false
    bench.effects.query = async (question) => {
      const answer = await query(question)
      if (question.name !== 'state') return answer
      isLoading = true
      await gate.promise
      return answer
    }
    // Somebody else runs the lane for a moment.
    const { place, turn } = bench.effects.record(SHARD)
    const event = { stream: 'a/6', version: 1, type: 'Done', position: 1, reason: 'no', at: 0 }
    await bench.operate('park', { from: place, turn, event })
    const until = placeOf(bench.row.find('a/0', 1))
    if (!isDone) await bench.operate('unpark', { from: place, turn: turn + 1, stream: 'a/0', next: 2, until })
    bench.add('a/3')
    await bench.until(() => isLoading)
    if (isDone) first.resolve()
    else first.reject(new Error('no'))
    await bench.turns()
    gate.resolve()
    await bench.pass(3_000)
    bench.add('a/0')
    await bench.until(() => bench.done.includes('a/0/2'))
    expect(parkedOf(bench, 'a/0')).toBeUndefined()
  })

test('nor does whoever still reads its stream then unpark it for whoever has begun anew', async () => {
  const bench = await parkedBench('a/0')
  bench.row.add('Other', 'a/0')
  bench.row.pageMax = 1
  const readers: (() => void)[] = []
  await bench.operate('retry', { stream: 'a/0' })
  bench.onHandle = ({ id }) => {
    if (id === 'a/0/1') bench.row.onReadAgain = () => new Promise((resolve) => readers.push(resolve))
  }
  await bench.until(() => readers.length === 1)
  // Somebody else runs the lane for a moment.
  const { place, turn } = bench.effects.record(SHARD)
  const event = { stream: 'a/6', version: 1, type: 'Done', position: 1, reason: 'no', at: 0 }
  await bench.operate('park', { from: place, turn, event })
  bench.add('a/3')
  await bench.until(() => readers.length === 2)
  readers[0]!()
  await bench.turns()
  bench.onHandle = () => undefined
  bench.row.onReadAgain = () => Promise.resolve()
  readers[1]!()
  await bench.pass(3_000)
  bench.add('a/0')
  await bench.until(() => bench.done.includes('a/0/3'))
})
