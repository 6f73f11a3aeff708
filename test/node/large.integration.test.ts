import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connect, defineAggregate, defineCluster, startNode } from '../../src/index.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const Box = defineAggregate({
  type: 'box',
  initialState: (): { count: number } => ({ count: 0 }),
  events: { Added: ({ count }) => ({ count: count + 1 }) },
  commands: {
    add: (_state, _payload: undefined, { emit }) => emit.Added(),
    take: (_state, _payload: { bytes: Uint8Array }) => undefined,
  },
  queries: {
    text: (_state, { length }: { length: number }) => 'x'.repeat(length),
    bytes: (_state, { length }: { length: number }) => new Uint8Array(length),
  },
})
const BOXES = 8
/** What is told of a machine that stalls, and has nothing to do with what is large: no answer, or no handshake, in time. */
const OF_STALLS = /^Redis at |^the lease store |was not let in: the other end left /

describe.skipIf(!hasRedis)('what is large, between two nodes', () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  async function open(name: string, nodes = 2) {
    const warnings: string[] = []
    const config = defineCluster({
      name,
      aggregates: [Box],
      dataDir: temporaryFolder(),
      workers: 'inline',
      shards: 8,
      redis: redis.url,
      timeouts: { askMs: 30_000 },
      onWarning: (warning) => void (OF_STALLS.test(warning) || warnings.push(warning)),
    })
    for (let node = 0; node < nodes; node += 1) {
      const started = await startNode(config)
      onTestFinished(() => started.close())
    }
    const client = await connect(config)
    onTestFinished(() => client.close())
    const boxes = Array.from({ length: BOXES }, (_, i) => client.ref(Box, `b${i}`))
    for (const box of boxes) await box.ask('add')
    return { boxes, warnings }
  }

  test('an answer that no frame carries fails alone, and its node and the next one live', async () => {
    const { boxes, warnings } = await open('large-one')
    for (const box of boxes) {
      await expect(box.query('text', { length: 20_000_000 })).rejects.toMatchObject({
        code: 'TooLarge',
        outcome: 'none',
      })
      expect(await box.query('text', { length: 14_000_000 })).toHaveLength(14_000_000)
      expect(await box.ask('add')).toMatchObject({ version: 2 })
    }
    expect(warnings).toEqual([])
  })

  test('answers that together are more than a frame arrive', async () => {
    const { boxes, warnings } = await open('large-many')
    const length = 1_000_000
    const answers = await Promise.all(
      boxes.flatMap((box) =>
        Array(5)
          .fill(0)
          .map(() => box.query('text', { length })),
      ),
    )
    expect(answers.map((text) => text.length)).toEqual(Array(BOXES * 5).fill(length))
    expect(warnings).toEqual([])
  })

  test('more than a connection holds gets through, both ways', async () => {
    const { boxes, warnings } = await open('large-all', 1)
    const bytes = new Uint8Array(900_000)
    const each = <T>(ask: (box: (typeof boxes)[number]) => Promise<T>): Promise<T[]> =>
      Promise.all(boxes.flatMap((box) => Array.from({ length: 12 }, () => ask(box))))
    await each((box) => box.ask('take', { bytes }))
    await each((box) => box.query('bytes', { length: 900_000 }))
    expect(warnings).toEqual([])
  })
})
