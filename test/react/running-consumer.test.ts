import { expect, test } from 'vitest'
import { IdSource } from '../../src/log/identity.ts'
import { Room } from '../../src/read/room.ts'
import type { Consumer } from '../../src/react/consumer.ts'
import type { ShardEffects } from '../../src/react/effects.ts'
import { RunningConsumer } from '../../src/react/running-consumer.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

test('a lane sends in the epoch in which it began, and ends with that though its shard comes back here at once', async () => {
  const bench = new LaneBench()
  const sent: string[] = []
  const { effects: memory } = bench
  const from = (shard: number, epoch: number): ShardEffects => ({
    ask: (command) => {
      if (command.name === 'send') sent.push(`${shard}/${epoch} ${command.commandId}`)
      return memory.ask(command)
    },
    find: () => memory.find(),
    query: (question) => memory.query(question),
    append: () => memory.append(),
    load: () => memory.load(),
    inShard: (...name) => memory.inShard(...name),
    knows: () => true,
    commandBytesMax: memory.commandBytesMax,
    from,
  })
  let isAsked = Promise.withResolvers<void>()
  const consumer: Consumer = {
    kind: 'reactor',
    name: 'mails',
    isWanted: ({ type }) => type === 'Done',
    startAt: 'beginning',
    onFailure: 'park',
    retries: 0,
    handlerTimeoutMs: 10_000,
    concurrency: 4,
    does: {
      one: async ({ id }, reaction) => {
        // It has asked what it goes by.
        await isAsked.promise
        const cause = { correlationId: 'c', causationId: 'e', after: 0 }
        await reaction.effects.ask({ stream: 'b/1', name: 'send', payload: undefined, commandId: id, ...cause })
      },
    },
  }
  const running = new RunningConsumer({
    consumer,
    feeds: bench.row.feeds('shard'),
    effects: from(-1, -1),
    ids: new IdSource(bench.clock, new SeededRandom(1)),
    clock: bench.clock,
    windows: new Room(),
    onWarning: () => undefined,
  })
  bench.add('a/0')
  running.run(new Map([[SHARD, 5]]))
  isAsked.resolve()
  await bench.until(() => sent.length === 1)
  isAsked = Promise.withResolvers()
  bench.add('a/0')
  await bench.pass(100)
  const before = isAsked
  isAsked = Promise.withResolvers()
  // Somebody else has had the shard between two looks.
  running.run(new Map([[SHARD, 7]]))
  expect(running.has(SHARD)).toBe(false)
  await bench.pass(1_500)
  running.run(new Map([[SHARD, 7]]))
  before.resolve()
  isAsked.resolve()
  await bench.until(() => sent.length > 1)
  await bench.pass(100)
  expect(sent).toEqual([`${SHARD}/5 a/0/1`, `${SHARD}/7 a/0/2`])
  running.run(new Map([[SHARD, 7]]))
  expect(running.has(SHARD)).toBe(true)
  await bench.during(running.close(0))
})
