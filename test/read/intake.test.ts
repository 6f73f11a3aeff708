import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Bell } from '../../src/read/bell.ts'
import type { FeedEvent, Page } from '../../src/read/event-feed.ts'
import { Intake } from '../../src/read/intake.ts'
import { Room } from '../../src/read/room.ts'

const MIB = 1024 * 1024

/** A feed of pages with so many events of so many bytes each, for ever. */
function feed({ events, bytes }: { readonly events: number; readonly bytes: number }) {
  let position = 0
  const state = { pages: 0 }
  async function* pages(): AsyncGenerator<Page> {
    for (;;) {
      const page = Array.from({ length: events }, () => ({ position: (position += 1), shard: 0 }) as FeedEvent)
      state.pages += 1
      yield { events: page, place: { position, shard: 0 }, bytes: events * bytes }
    }
  }
  return { state, pages }
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await setImmediate()
}

test('what is read ahead has a bound in events, and each is taken once, with where it ends', async () => {
  const { state, pages } = feed({ events: 7, bytes: 10 })
  const intake = new Intake(pages, { batchMax: 20, room: new Room() })
  await turns()
  expect(state.pages).toBe(3)
  let next = 1
  for (const most of [1, 20, 3, 50, 7]) {
    await turns()
    const { events, place } = (await intake.take(most))!
    expect(events.length).toBeLessThanOrEqual(most)
    for (const event of events) expect(event.position).toBe(next++)
    expect(place).toEqual({ position: next - 1, shard: 0 })
  }
  intake.close()
  expect(await intake.take()).toBeUndefined()
})

test('what is read ahead, and a batch, have a bound in bytes, but for a single page', async () => {
  const small = feed({ events: 1, bytes: MIB })
  const intake = new Intake(small.pages, { batchMax: 1_000, room: new Room() })
  await turns()
  expect(small.state.pages).toBe(4)
  expect((await intake.take())!.events).toHaveLength(4)
  await turns()
  expect(small.state.pages).toBe(8)
  intake.close()

  const large = feed({ events: 1, bytes: 16 * MIB })
  const one = new Intake(large.pages, { batchMax: 1_000, room: new Room() })
  await turns()
  expect(large.state.pages).toBe(1)
  expect((await one.take())!.events).toHaveLength(1)
  one.close()
})

test('all lanes together have a bound; beyond it each has a page at hand, and reads on once others have given back', async () => {
  const room = new Room(8 * MIB)
  const feeds = Array.from({ length: 20 }, () => feed({ events: 1, bytes: MIB }))
  const intakes = feeds.map(({ pages }) => new Intake(pages, { batchMax: 1_000, room }))
  const read = (): number => feeds.reduce((sum, { state }) => sum + state.pages, 0)
  await turns()
  expect(read()).toBeLessThanOrEqual(8 + 20)
  // The last goes on, page by page, though others stand still with what they have.
  const last = intakes.at(-1)!
  for (let i = 0; i < 5; i += 1) {
    expect((await last.take())!.events).toHaveLength(1)
    await turns()
  }
  expect(read()).toBeLessThanOrEqual(8 + 25)
  for (const intake of intakes) if (intake !== last) intake.close()
  await turns()
  expect((await last.take())!.events.length).toBeGreaterThan(1)
  last.close()
  const bell = new Bell()
  expect(room.isFor(bell)).toBe(true)
  room.take(8 * MIB)
  expect(room.isFor(bell)).toBe(false)
})

test('a place without events is told, and does not pile up', async () => {
  let yielded = 0
  async function* pages(): AsyncGenerator<Page> {
    for (;;) yield { events: [], place: { position: (yielded += 1), shard: 0 }, bytes: 0 }
  }
  const intake = new Intake(
    async function* (signal) {
      for await (const page of pages()) {
        yield page
        await setImmediate()
        if (signal.aborted) return
      }
    },
    { batchMax: 10, room: new Room() },
  )
  await turns()
  const { events, place } = (await intake.take())!
  expect(events).toEqual([])
  expect(place.position).toBe(yielded)
  intake.close()
})
