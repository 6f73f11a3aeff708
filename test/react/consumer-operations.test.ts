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

test('what operators want is not looked for in all that a record has', async () => {
  const [clock, memory] = [new SimulatedClock(), new MemoryEffects()]
  const asked: SentCommand[] = []
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
  const operations = new ConsumerOperations({
    consumer,
    shards: 2,
    shardOf: () => 0,
    feeds: new EventRow().feeds('shard'),
    effects: {
      ask: (command) => {
        asked.push(command)
        return memory.ask(command)
      },
      query: (question) => memory.query(question),
      append: () => memory.append(),
      load: () => memory.load(),
      inShard: (...args) => memory.inShard(...args),
      knows: () => true,
    },
    ids: new IdSource(clock, new SeededRandom(1)),
    clock,
  })
  await operations.pause()
  await operations.resume()
  expect(asked.map(({ name }) => name)).toEqual(['pause', 'pause', 'resume', 'resume'])
  const hour = 60 * 60_000
  for (const { after } of asked) {
    expect(after).toBeGreaterThan(lastPositionAt(clock.now() - hour))
    expect(after).toBeLessThan(lastPositionAt(clock.now()))
  }
})
