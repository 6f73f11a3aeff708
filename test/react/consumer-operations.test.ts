import { expect, test } from 'vitest'
import { IdSource } from '../../src/log/identity.ts'
import { lastPositionAt } from '../../src/log/position.ts'
import type { Consumer } from '../../src/react/consumer.ts'
import { ConsumerOperations } from '../../src/react/consumer-operations.ts'
import type { SentCommand } from '../../src/react/effects.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { EventRow } from '../read/event-row.ts'
import { MemoryEffects } from './memory-effects.ts'

function bench() {
  const [clock, memory] = [new SimulatedClock(), new MemoryEffects()]
  const row = new EventRow()
  const asked: SentCommand[] = []
  const questions: string[] = []
  const consumer: Consumer = {
    kind: 'reactor',
    name: 'mails',
    isWanted: ({ type }) => type !== 'Unwanted',
    startAt: 'beginning',
    onFailure: 'park',
    retries: 0,
    handlerTimeoutMs: 1_000,
    concurrency: 1,
    does: { one: () => undefined },
  }
  const operations = new ConsumerOperations({
    consumer,
    shards: 2,
    shardOf: () => 0,
    feeds: row.feeds('shard'),
    effects: {
      ask: (command) => {
        asked.push(command)
        return memory.ask(command)
      },
      query: (question) => {
        questions.push(question.name)
        return memory.query(question)
      },
      find: () => memory.find(),
      append: () => memory.append(),
      load: () => memory.load(),
      inShard: (...args) => memory.inShard(...args),
      knows: () => true,
      commandBytesMax: 1_000_000,
    },
    ids: new IdSource(clock, new SeededRandom(1)),
    clock,
  })
  return { operations, asked, questions, memory, clock, row }
}

test('what operators want is not looked for in all that a record has', async () => {
  const { operations, asked, clock } = bench()
  await operations.pause()
  await operations.resume()
  expect(asked.map(({ name }) => name)).toEqual(['pause', 'pause', 'resume', 'resume'])
  const hour = 60 * 60_000
  for (const { after } of asked) {
    expect(after).toBeGreaterThan(lastPositionAt(clock.now() - hour))
    expect(after).toBeLessThan(lastPositionAt(clock.now()))
  }
})

test('only what is there is skipped, and it is the first that waits', async () => {
  const { operations, memory, row } = bench()
  row.add('Done', 'a/0')
  const place = { position: 1, shard: 0 }
  const record = {
    stream: memory.inShard(0, '$consumer', 'reactor:mails'),
    correlationId: '',
    causationId: '',
    after: 0,
  }
  const tell = (name: string, payload: unknown) => memory.ask({ ...record, name, payload, commandId: name })
  await tell('begin', { place })
  const event = { stream: 'a/0', version: 1, type: 'Done', position: 2, reason: 'it fails', at: 0 }
  await tell('park', { from: place, turn: 0, event })
  const skip = (version: number) => operations.skip({ stream: 'a/0', version, reason: 'by hand' })
  await expect(skip(2)).rejects.toThrow('is not the first that waits, which is version 1')
  await skip(1)
  // Its lane has not looked whether something waits behind it.
  await expect(skip(2)).rejects.toThrow('nothing of a/0 waits at the moment')
  expect(await operations.parked(10)).toEqual([])
  row.add('Unwanted', 'a/0')
  const third = row.add('Other', 'a/0')
  const parked = { stream: 'a/0', version: 3, type: 'Other', position: third.position, reason: undefined, failures: 1 }
  expect(await operations.parked(10)).toMatchObject([parked])
  expect(await operations.waiting('a/0', 10)).toMatchObject([{ version: 3, type: 'Other' }])
  await expect(skip(2)).rejects.toThrow('is not the first that waits, which is version 3')
  await skip(3)
  expect(memory.record(0).parked['a/0']).toMatchObject({ version: 4, reason: '' })
})

test('a list has as many as are asked for, also where nothing waits behind some that were skipped', async () => {
  const { operations, memory, row } = bench()
  const place = { position: 1, shard: 0 }
  const stream = memory.inShard(0, '$consumer', 'reactor:mails')
  const tell = (name: string, payload: unknown, commandId: string) =>
    memory.ask({ stream, correlationId: '', causationId: '', after: 0, name, payload, commandId })
  await tell('begin', { place }, 'begin')
  for (let n = 0; n < 5; n += 1) {
    const { position } = row.add('Done', `a/${n}`)
    const event = { stream: `a/${n}`, version: 1, type: 'Done', position, reason: 'it fails', at: 0 }
    await tell('park', { from: place, turn: n, event }, `park ${n}`)
  }
  // Their lane has not looked yet, as where it is paused.
  for (const n of [0, 1, 3]) await operations.skip({ stream: `a/${n}`, version: 1, reason: 'by hand' })
  const streams = async (limit: number) => (await operations.parked(limit)).map((event) => event.stream)
  expect(await streams(1)).toEqual(['a/2'])
  expect(await streams(2)).toEqual(['a/2', 'a/4'])
  expect(await streams(3)).toEqual(['a/2', 'a/4'])
})

/** With a stream that is parked, and how its lane says that it has been tried again. */
async function withParked() {
  const found = bench()
  const { memory } = found
  const place = { position: 1, shard: 0 }
  const stream = memory.inShard(0, '$consumer', 'reactor:mails')
  let steps = 0
  const tell = (name: string, payload?: unknown) =>
    memory.ask({ stream, correlationId: '', causationId: '', after: 0, name, payload, commandId: `${(steps += 1)}` })
  await tell('begin', { place })
  const event = { stream: 'a/0', version: 1, type: 'Done', position: 2, reason: 'it fails', at: 0 }
  await tell('park', { from: place, turn: 0, event })
  const fails = () => tell('park', { from: place, turn: 1, event: { ...event, reason: 'it fails again' } })
  return { ...found, tell, fails }
}

test('while it is paused it is said at once that nothing is tried again, and nothing is', async () => {
  const { operations, memory, tell } = await withParked()
  await operations.pause()
  const retrying = operations.retry('a/0')
  await expect(retrying).rejects.toMatchObject({ code: 'ReactorState', outcome: 'none' })
  await expect(retrying).rejects.toThrow('reactor mails is paused')
  await expect(retrying).rejects.toThrow('penhold reactor resume reactor:mails')
  expect(memory.record(0).parked['a/0']).toMatchObject({ isAsked: false })
  await tell('resume')
  void operations.retry('a/0').catch(() => undefined)
  await expect.poll(() => memory.record(0).parked['a/0']).toMatchObject({ isAsked: true })
})

test('what is parked is told from a position on', async () => {
  const { operations, row, tell } = await withParked()
  const other = { stream: 'b/0', version: 1, type: 'Done', position: 7, reason: 'it fails', at: 0 }
  await tell('park', { from: { position: 1, shard: 0 }, turn: 1, event: other })
  const streams = async (limit: number, from?: number) =>
    (await operations.parked(limit, from)).map(({ stream, position }) => [stream, position])
  expect(await streams(10)).toEqual([
    ['a/0', 2],
    ['b/0', 7],
  ])
  expect(await streams(1)).toEqual([['a/0', 2]])
  expect(await streams(10, 3)).toEqual([['b/0', 7]])
  // One that waits behind what was skipped stands where that stood.
  for (let n = 0; n < 3; n += 1) row.add('Done', 'a/0')
  await operations.skip({ stream: 'a/0', version: 1, reason: 'by hand' })
  expect((await streams(10)).map(([stream]) => stream)).toEqual(['a/0', 'b/0'])
  expect(await streams(10, 3)).toEqual([['b/0', 7]])
})

test('whoever waits for a stream asks for no more than that, and seldom where it takes long', async () => {
  const { operations, questions, clock, fails } = await withParked()
  const retrying = operations.retry('a/0')
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 10) {
      clock.advance(10)
      await new Promise(setImmediate)
    }
  }
  await pass(50)
  const soon = questions.length
  expect(soon).toBeGreaterThanOrEqual(2)
  await pass(30_000)
  expect(new Set(questions)).toEqual(new Set(['parked']))
  expect(questions.length).toBeLessThan(50)
  await fails()
  await pass(1_100)
  expect(await retrying).toEqual({ failed: { version: 1, type: 'Done', reason: 'it fails again' } })
  const given = operations.retry('a/0')
  given.catch(() => undefined)
  await pass(62_000)
  await expect(given).rejects.toMatchObject({ code: 'Timeout' })
})
