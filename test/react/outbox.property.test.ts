import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { defineOutbox, PublishRefused, type OutboxMessage, type Publish } from '../../src/index.ts'
import { eventOf, OutboxWorld } from './outbox-world.ts'

/** What comes of one call: so many messages are sent until it fails, and whether the publisher knows so of those. */
interface Trouble {
  readonly sent: number
  readonly tells: boolean
}

interface Plan {
  /** For each event, which of three streams it is of. */
  readonly streams: readonly number[]
  readonly refused: ReadonlySet<number>
  readonly troubles: readonly (Trouble | undefined)[]
  /** For each step: how many events, and whether the process dies before or behind the checkpoint. */
  readonly steps: readonly { readonly batch: number; readonly dies: 'no' | 'before' | 'behind' }[]
}

const plans: fc.Arbitrary<Plan> = fc.record({
  streams: fc.array(fc.nat(2), { minLength: 1, maxLength: 25 }),
  refused: fc.array(fc.nat(24), { maxLength: 2 }).map((refused) => new Set(refused)),
  troubles: fc.array(fc.option(fc.record({ sent: fc.nat(6), tells: fc.boolean() }), { nil: undefined }), {
    maxLength: 20,
  }),
  steps: fc.array(
    fc.record({ batch: fc.integer({ min: 1, max: 8 }), dies: fc.constantFrom('no', 'before', 'behind') }),
    { maxLength: 40 },
  ),
})

/** What a plan comes to: all that has arrived, in order; and how often something was given that was known to be there. */
async function run({ streams, refused, troubles, steps }: Plan) {
  const there: OutboxMessage[] = []
  const told = new Set<string>()
  let [calls, again] = [0, 0]
  const counts = [0, 0, 0]
  const events = streams.map((stream) => eventOf(`account/${stream}`, (counts[stream]! += 1)))
  const refusedIds = new Set([...refused].map((i) => events[i]?.id))
  const publisher: Publish = async (messages, { published }) => {
    const trouble = troubles[calls]
    calls += 1
    again += messages.filter(({ id }) => told.has(id)).length
    for (const [i, message] of messages.entries()) {
      if (trouble !== undefined && i >= trouble.sent) throw new Error('away')
      if (refusedIds.has(message.event.causationid)) throw new PublishRefused(message, 'never')
      there.push(message)
      if (trouble?.tells !== true) continue
      published(message)
      told.add(message.id)
    }
  }
  const map = { Deposited: () => ({ type: 'deposited' }) }
  const world = new OutboxWorld(defineOutbox({ name: 'o', startAt: 'beginning', from: 'all', map, publisher }), events)
  for (let i = 0; !world.isDone; i += 1) {
    const { batch, dies } = steps[i] ?? { batch: 8, dies: 'no' }
    await world.step(batch, { isKept: dies !== 'before' })
    if (dies === 'no') continue
    await world.crash()
    told.clear()
  }
  return { there, again, world, events, refusedIds }
}

test('an outbox publishes each event at least once, in order per stream, through failing publishers and crashes', async () => {
  const property = fc.asyncProperty(plans, async (plan) => {
    const { there, again, world, events, refusedIds } = await run(plan)
    const first = new Map<string, number>()
    const ids = new Map<string, string>()
    for (const [i, { id, event }] of there.entries()) {
      const key = `${event.stream} ${event.version}`
      expect(ids.get(key) ?? id, `the id of ${key}`).toBe(id)
      ids.set(key, id)
      if (!first.has(key)) first.set(key, i)
    }
    const held = new Set<string>()
    const last = new Map<string, number>()
    for (const event of events) {
      const key = `${event.stream} ${event.version}`
      if (refusedIds.has(event.id)) held.add(event.stream)
      if (held.has(event.stream)) {
        expect(first.has(key), `${key}, which stands behind a refused one`).toBe(false)
        expect(world.parked.some(({ id }) => id === event.id)).toBe(true)
        continue
      }
      expect(first.has(key), `${key} has arrived`).toBe(true)
      expect(first.get(key), `${key} behind those before it`).toBeGreaterThan(last.get(event.stream) ?? -1)
      last.set(event.stream, first.get(key)!)
    }
    expect(again, 'messages that were known to be there, and were given again in the same life').toBe(0)
  })
  await fc.assert(property, { numRuns: 500, ...(process.env['SEED'] && { seed: Number(process.env['SEED']) }) })
})
