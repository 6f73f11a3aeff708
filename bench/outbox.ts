/**
 * O: an outbox publishes everything to a Redis Stream, by a node that has just started, through its own engine and publisher,
 * to a real redis-server on the same machine. How many messages there were is compared with what was written.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startNode } from '../src/index.ts'
import { startRedis } from '../test/redis-server.ts'
import { childInput, reply, runChild } from './child.ts'
import type { Dataset } from './dataset.ts'
import { atLeast, say, type Row } from './report.ts'

const PER_SECOND = 50_000
const LOOK_MS = 10

interface Input {
  readonly dataDir: string
  readonly redis: string
  readonly events: number
}

interface Published {
  readonly seconds: number
  /** Of all of the process's threads. */
  readonly cpuSeconds: number
}

export async function measureOutbox(dataset: Dataset): Promise<Row[]> {
  say('O: an outbox')
  const { events } = dataset.facts
  const server = await startRedis()
  try {
    const { seconds, cpuSeconds } = await dataset.withClone((dataDir) =>
      runChild<Published>(import.meta.url, { dataDir, redis: server.url, events } satisfies Input),
    )
    const perSecond = events / seconds
    const what = `an outbox to Redis Streams: ${events.toLocaleString('en')} events`
    const target = atLeast(perSecond, PER_SECOND, `${PER_SECOND.toLocaleString('en')} /s`)
    const details = { perCpuSecond: events / cpuSeconds }
    return [{ id: 'O', what, figure: { kind: 'rate', perSecond }, target, details }]
  } finally {
    await server.stop()
  }
}

async function run({ dataDir, redis, events }: Input): Promise<void> {
  // The config has it from here, in the worker threads too.
  process.env['BENCH_REDIS'] = redis
  await using node = await startNode(new URL('outbox.config.ts', import.meta.url), { dataDir })
  const [startMs, start] = [performance.now(), process.cpuUsage()]
  const client = new Redis(redis)
  let added = 0
  for (; added < events; await sleep(LOOK_MS)) added = await addedTo(client)
  const { user, system } = process.cpuUsage(start)
  const published: Published = { seconds: (performance.now() - startMs) / 1_000, cpuSeconds: (user + system) / 1e6 }
  assert.equal(added, events, 'each event is published, and none twice, as nothing has failed')
  assert.equal((await node.status()).outboxes[0]!.parkedStreams, 0)
  client.disconnect()
  reply(published)
}

async function addedTo(client: Redis): Promise<number> {
  if ((await client.exists('movements')) === 0) return 0
  const info = (await client.xinfo('STREAM', 'movements')) as readonly unknown[]
  return info[info.indexOf('entries-added') + 1] as number
}

if (import.meta.main) await run(childInput<Input>())
