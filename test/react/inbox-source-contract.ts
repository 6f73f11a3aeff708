/**
 * What every source of an inbox keeps (inbox-source.ts): a row of messages that others append to, read in order behind a place
 * that the inbox keeps, and a word about what is gone. It runs over Redis Streams and over their simulated twin.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  MESSAGE_BYTES_MAX,
  PAGE_BYTES_MAX,
  type InboxPage,
  type InboxPlace,
  type InboxSource,
  type OpenInboxSource,
} from '../../src/react/inbox-source.ts'

/** A source, with the row behind it as others have it in their hands. */
export interface SourceUnderTest {
  readonly source: InboxSource
  /** Appends a message, and returns its id. */
  add(fields: Readonly<Record<string, string>>): Promise<string>
  /** Removes what stands before the last so many. */
  trim(keeps: number): Promise<void>
  /** Removes one, wherever it stands. */
  remove(id: string): Promise<void>
  /** Has nothing answered any more; and all again. */
  goAway(): Promise<void>
  comeBack(): Promise<void>
  cleanUp(): Promise<void>
}

const LIMIT = 3

export function testSourceContract(name: string, create: () => Promise<SourceUnderTest>): void {
  const start = async (): Promise<SourceUnderTest & { readonly open: OpenInboxSource }> => {
    const world = await create()
    const open = world.source.open()
    onTestFinished(async () => {
      await open.close()
      await world.cleanUp()
    })
    return { ...world, open }
  }
  const addAll = async (world: SourceUnderTest, from: number, to: number): Promise<readonly string[]> => {
    const ids: string[] = []
    for (let n = from; n <= to; n += 1) ids.push(await world.add({ n: String(n) }))
    return ids
  }

  describe(`${name}, as the source of an inbox`, () => {
    test('gives all from the beginning, in order, some at a time, each once', async () => {
      const world = await start()
      const ids = await addAll(world, 1, 8)
      const { messages, lost, place } = await readOn(world.open, await world.open.place('beginning'), 8)
      expect(messages.map(({ id }) => id)).toEqual(ids)
      expect(messages.map(({ fields }) => ({ ...fields }))).toEqual(ids.map((_, i) => ({ n: String(i + 1) })))
      expect({ lost, count: place.count }).toEqual({ lost: 0, count: 8 })
    })

    test('gives what comes from now on, and goes on from where it was, whoever reads', async () => {
      const world = await start()
      await addAll(world, 1, 4)
      const now = await world.open.place('now')
      const ids = await addAll(world, 5, 9)
      const first = await world.open.read(now, LIMIT)
      const other = world.source.open()
      onTestFinished(() => other.close())
      const rest = await readOn(other, first.place, 2)
      expect([...first.messages, ...rest.messages].map(({ id }) => id)).toEqual(ids)
      // Of a place that was recorded, what is behind it comes again.
      expect(await other.read(now, LIMIT)).toEqual(first)
    })

    test('gives nothing where there is nothing, and stays where it is', async () => {
      const { open, ...world } = await start()
      const place = await open.place('beginning')
      const page = await open.read(place, LIMIT)
      expect(page).toEqual({ messages: [], lost: 0, place })
      const id = await world.add({ n: '1' })
      expect((await open.read(place, LIMIT)).messages.map((message) => message.id)).toEqual([id])
    })

    test('says how many were removed before they were read, once', async () => {
      const world = await start()
      await addAll(world, 1, 3)
      const { place } = await readOn(world.open, await world.open.place('beginning'), 3)
      const ids = await addAll(world, 4, 12)
      await world.trim(4)
      const { messages, lost, place: end } = await readOn(world.open, place, 4)
      expect(messages.map(({ id }) => id)).toEqual(ids.slice(-4))
      expect({ lost, count: end.count }).toEqual({ lost: 5, count: 12 })
      await addAll(world, 13, 13)
      expect(await readOn(world.open, end, 1)).toMatchObject({ lost: 0, place: { count: 13 } })
    })

    test('says so where all is gone, and where what is gone was read before it says nothing', async () => {
      const world = await start()
      await addAll(world, 1, 3)
      const place = await world.open.place('beginning')
      const read = await readOn(world.open, place, 3)
      await world.trim(0)
      expect(await world.open.read(read.place, LIMIT)).toMatchObject({ messages: [], lost: 0 })
      const late = await world.open.read(place, LIMIT)
      expect(late).toMatchObject({ messages: [], lost: 3 })
      expect(await world.open.read(late.place, LIMIT)).toMatchObject({ messages: [], lost: 0 })
    })

    test('says how many were removed from the middle, once it is at the end', async () => {
      const world = await start()
      const ids = await addAll(world, 1, 8)
      const read = await world.open.read(await world.open.place('beginning'), LIMIT)
      // One that was read, and two that were not.
      for (const id of [ids[1]!, ids[4]!, ids[6]!]) await world.remove(id)
      const rest = await readOn(world.open, read.place, 3)
      const end = await world.open.read(rest.place, LIMIT)
      expect(rest.messages.map(({ id }) => id)).toEqual([ids[3], ids[5], ids[7]])
      expect({ lost: rest.lost + end.lost, count: end.place.count }).toEqual({ lost: 2, count: 8 })
      expect(await world.open.read(end.place, LIMIT)).toMatchObject({ messages: [], lost: 0 })
    })

    test('begins with what is there, whatever was there before', async () => {
      const world = await start()
      const ids = await addAll(world, 1, 6)
      await world.trim(2)
      const { messages, lost } = await readOn(world.open, await world.open.place('beginning'), 2)
      expect(messages.map(({ id }) => id)).toEqual(ids.slice(-2))
      expect(lost).toBe(0)
    })

    test('gives no more bytes at once than a page may have, and what is larger alone', async () => {
      const world = await start()
      const sizes = [1, 1, 700, 800, 700, 5_000, 1, 4_000, 4_000, 4_000, 1, 1].map((kib) => kib * 1024)
      const ids: string[] = []
      for (const size of sizes) ids.push(await world.add({ text: 'x'.repeat(size) }))
      // Of many that are small the names and values count, though they are short.
      const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [i, '']))
      for (let i = 0; i < 8; i += 1) ids.push(await world.add(many))
      let [place, seen]: [InboxPlace, string[]] = [await world.open.place('beginning'), []]
      const counts: number[] = []
      while (seen.length < ids.length) {
        const { messages, ...page } = await world.open.read(place, 100)
        const bytes = messages.reduce((sum, { fields }) => sum + Object.values(fields).join('').length, 0)
        const words = messages.reduce((sum, { fields }) => sum + Object.keys(fields).length, 0)
        if (messages.length > 1) expect(bytes).toBeLessThanOrEqual(PAGE_BYTES_MAX)
        if (messages.length > 1) expect(words).toBeLessThanOrEqual(PAGE_BYTES_MAX / 128)
        expect(page).toMatchObject({ lost: 0, place: { count: seen.length + messages.length } })
        counts.push(messages.length)
        seen = [...seen, ...messages.map(({ id }) => id)]
        place = page.place
      }
      expect(seen).toEqual(ids)
      expect(counts).toEqual([5, 1, 2, 1, 3, 3, 3, 2])
    })

    test('names a message that is too large, without it, and goes on once it is gone', async () => {
      const world = await start()
      const before = await world.add({ n: '1' })
      const large = await world.add({ text: 'x'.repeat(MESSAGE_BYTES_MAX) })
      const behind = await world.add({ n: '2' })
      const first = await world.open.read(await world.open.place('beginning'), LIMIT)
      expect(first.messages.map(({ id }) => id)).toEqual([before])
      for (let i = 0; i < 2; i += 1) {
        const page = await world.open.read(first.place, LIMIT)
        expect(page).toMatchObject({ messages: [], lost: 0, place: first.place })
        expect(page.tooLarge).toMatchObject({ id: large, bytesMax: MESSAGE_BYTES_MAX })
        expect(page.tooLarge!.bytes).toBeGreaterThan(MESSAGE_BYTES_MAX)
      }
      await world.remove(large)
      const { messages, lost, place } = await readOn(world.open, first.place, 1)
      expect(messages.map(({ id }) => id)).toEqual([behind])
      expect({ lost, count: place.count }).toEqual({ lost: 1, count: 3 })
    })

    test('fails while it is away, and has lost nothing when it is back', async () => {
      const world = await start()
      const ids = await addAll(world, 1, 2)
      const place = await world.open.place('beginning')
      await world.goAway()
      await expect(world.open.read(place, LIMIT)).rejects.toMatchObject({ code: 'SourceUnavailable', retryable: true })
      await world.comeBack()
      await expect
        .poll(() => world.open.read(place, LIMIT).then(({ messages }) => messages.map(({ id }) => id)), {
          timeout: 30_000,
        })
        .toEqual(ids)
    })

    test('reads nothing once it is closed', async () => {
      const { open } = await start()
      const place = await open.place('beginning')
      await open.close()
      await expect(open.read(place, LIMIT)).rejects.toMatchObject({ code: 'SourceUnavailable' })
    })
  })
}

/** Pages behind a place, until so many messages are there. */
async function readOn(open: OpenInboxSource, from: InboxPlace, count: number): Promise<InboxPage> {
  let page: InboxPage = { messages: [], lost: 0, place: from }
  while (page.messages.length < count) {
    const next = await open.read(page.place, LIMIT)
    expect(next.messages.length).toBeLessThanOrEqual(LIMIT)
    page = { messages: [...page.messages, ...next.messages], lost: page.lost + next.lost, place: next.place }
  }
  return page
}
