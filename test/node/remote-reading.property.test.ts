import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { toFailure } from '../../src/actor/error.ts'
import { knowsNoReadings, nodeClosed, tooManyReadings } from '../../src/cluster/error.ts'
import type { ReadingPage, ReadingRequest } from '../../src/cluster/reading-frames.ts'
import type { Came, ReadingLine } from '../../src/cluster/reading-line.ts'
import type { ReadingLines } from '../../src/cluster/reading-lines.ts'
import type { LogRecord } from '../../src/log/record.ts'
import { splitRecords } from '../../src/log/recorded-event.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { remotePages, ResumableAll, ResumableStream, type Resumable } from '../../src/node/remote-reading.ts'
import type { AllRequest } from '../../src/node/reading-request.ts'
import { BEGINNING } from '../../src/read/all.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { eventBytes } from '../log/event-bytes.ts'
import { inTime } from '../in-time.ts'

const PATIENCE = 1_000
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
/** Events of one stream, of which those with an even number are wanted where that is said. */
const LOG: readonly LogRecord[] = [...splitRecords(sliceOf(eventBytes(...Array.from({ length: 40 }, (_, i) => i))))]
const numbersOf = (records: readonly LogRecord[]): unknown[] => records.map(({ data }) => data)
const bytesOf = (records: readonly LogRecord[]) => sliceOf(Buffer.concat(records.map(({ bytes }) => bytes)))
const ALL: AllRequest = {
  after: BEGINNING,
  mayBeAhead: false,
  until: undefined,
  untilEvent: undefined,
  streams: undefined,
  filter: undefined,
  isLive: false,
}

/** What becomes of a question for a page. */
type Fate = 'page' | 'gone' | 'closed' | 'full' | 'repeats' | 'skips'

/** Nodes that read the log as they are asked to, as far as fate lets them. */
class Nodes {
  readonly clock = new SimulatedClock()
  readonly distrusted: unknown[] = []
  readonly asked: ReadingRequest[] = []
  open = 0
  readonly #fates: readonly Fate[]
  readonly #sizes: readonly number[]
  readonly #isSparse: boolean
  #questions = 0

  constructor(fates: readonly Fate[], sizes: readonly number[] = [3], isSparse = false) {
    this.#fates = fates
    this.#sizes = sizes
    this.#isSparse = isSparse
  }

  readonly lines: Pick<ReadingLines, 'line'> = {
    line: async (tried) => {
      const node = ['a', 'b', 'c'].find((each) => !tried.has(each))
      return node === undefined ? undefined : (this.#line(node) as ReadingLine)
    },
  }

  #line(node: string): Partial<ReadingLine> {
    return {
      node,
      distrust: (error) => void this.distrusted.push(error),
      open: (kind, request) => {
        this.asked.push(request)
        this.open += 1
        const position = kind === 'all' ? (request['after'] as [number])[0] : 2 ** 40 - 1 + Number(request['after'])
        let at = LOG.findIndex((record) => record.position > position)
        if (at === -1) at = LOG.length
        let isOpen = true
        return {
          next: async () => {
            const came = this.#came(at, kind === 'stream')
            if (came.kind === 'page') at = Math.min(LOG.length, at + this.#size(0))
            return came
          },
          close: () => {
            if (isOpen) this.open -= 1
            isOpen = false
          },
        } as unknown as ReturnType<ReadingLine['open']>
      },
    }
  }

  #size(ahead: number): number {
    return this.#sizes[(this.#questions + ahead) % this.#sizes.length]!
  }

  #came(at: number, isStream: boolean): Came {
    const size = this.#size(1)
    this.#questions += 1
    const fate = this.#fates[this.#questions - 1] ?? 'page'
    if (fate === 'gone') return { kind: 'gone' }
    if (fate === 'closed') return { kind: 'failed', failure: toFailure(nodeClosed('none')) }
    if (fate === 'full') return { kind: 'failed', failure: toFailure(tooManyReadings('all', 'node', 1)) }
    if (fate === 'repeats' && at > 0) return pageOf(LOG.slice(at - 1, at + size), undefined)
    if (fate === 'skips' && at > 0) return pageOf([LOG[at]!, LOG[at - 1]!].filter(Boolean), undefined)
    const looked = LOG.slice(at, at + size)
    const records = this.#isSparse ? looked.filter(({ data }) => Number(data) % 2 === 0) : looked
    const last = looked.at(-1)
    const place = last && (isStream ? { position: last.version, shard: 0 } : last)
    return pageOf(records, place && { position: place.position, shard: place.shard }, at + size >= LOG.length)
  }
}

function pageOf(records: readonly LogRecord[], place: ReadingPage['place'], isLast = false): Came {
  return { kind: 'page', page: { records: bytesOf(records), place, until: undefined, isLast } }
}

async function read(nodes: Nodes, reading: Resumable): Promise<unknown[]> {
  const { lines, clock } = nodes
  const { signal } = new AbortController()
  const came: unknown[] = []
  let isOver = false
  const done = (async () => {
    const ports = { lines: lines as ReadingLines, clock, signal, patienceMs: PATIENCE }
    for await (const records of remotePages(reading, ports)) came.push(...numbersOf(records))
  })().finally(() => (isOver = true))
  done.catch(() => undefined)
  while (!isOver) {
    await turn()
    clock.advance(50)
  }
  await done
  return came
}

const fate = fc.constantFrom<Fate>('page', 'page', 'page', 'gone', 'closed', 'full', 'repeats', 'skips')
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })

test('whatever becomes of nodes and lines, nothing comes twice and nothing is missed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fate, { maxLength: 30 }),
      sizes,
      fc.boolean(),
      fc.constantFrom('all', 'stream'),
      async (fates, someSizes, isSparse, kind) => {
        const nodes = new Nodes(fates, someSizes, isSparse)
        const filter = isSparse ? {} : undefined
        const reading =
          kind === 'all' ? new ResumableAll(ALL) : new ResumableStream({ stream: 'account/1', after: 0, filter })
        const came = await read(nodes, reading).catch((error: unknown) => error)
        expect(nodes.open).toBe(0)
        // All three had too much to do.
        if (came instanceof PenholdError) expect(came.code).toBe('MailboxFull')
        else expect(came).toEqual(numbersOf(LOG).filter((number) => !isSparse || Number(number) % 2 === 0))
      },
    ),
    { numRuns: 500, ...inTime() },
  )
})

test('it goes on behind what was looked at, and comes to the end that there was at first', async () => {
  const nodes = new Nodes(['page', 'gone', 'page', 'closed'], [10], true)
  const until = { position: 2 ** 41, shard: 0xffff }
  const reading = new ResumableAll({ ...ALL, after: { position: 5, shard: 1 }, mayBeAhead: true })
  const take = reading.take.bind(reading)
  let isFirst = true
  reading.take = (page) => take(isFirst ? ((isFirst = false), { ...page, until }) : page)
  await read(nodes, reading)
  const { shard } = LOG[0]!
  expect(nodes.asked).toMatchObject([
    { after: [5, 1], mayBeAhead: true },
    { after: [LOG[9]!.position, shard], mayBeAhead: false, until: [until.position, until.shard] },
    { after: [LOG[19]!.position, shard], mayBeAhead: false, until: [until.position, until.shard] },
  ])
})

test('once an event has come, what was given as a time is a place that the log has', () => {
  const reading = new ResumableAll({ ...ALL, after: { position: 5, shard: 1 }, mayBeAhead: true })
  reading.take((pageOf([], undefined) as Came & { kind: 'page' }).page)
  expect(reading.request).toMatchObject({ after: [5, 1], mayBeAhead: true })
  reading.take((pageOf(LOG.slice(0, 2), undefined) as Came & { kind: 'page' }).page)
  expect(reading.request).toMatchObject({ after: [LOG[1]!.position, LOG[1]!.shard], mayBeAhead: false })
})

test('what is out of order is not handed out, and its node is told of', async () => {
  const nodes = new Nodes(['page', 'repeats', 'skips'])
  expect(await read(nodes, new ResumableAll(ALL))).toEqual(numbersOf(LOG))
  expect(nodes.distrusted).toHaveLength(2)
  const reading = new ResumableStream({ stream: 'account/2', after: 0, filter: undefined })
  expect(() => reading.take((pageOf(LOG.slice(0, 1), undefined) as Came & { kind: 'page' }).page)).toThrow('account/2')
})

const refused = new PenholdError('LogCorrupt', 'harmed', { outcome: 'none', retryable: false, details: { a: 1 } })

test('what a node finds harmed, the reader is told, and no other node is asked', async () => {
  const nodes = new Nodes([])
  const asked: string[] = []
  const line = {
    node: 'a',
    open: () => {
      asked.push('a')
      return { next: async () => ({ kind: 'failed', failure: toFailure(refused) }), close: () => undefined }
    },
  } as unknown as ReadingLine
  Object.assign(nodes, { lines: { line: async () => line } })
  await expect(read(nodes, new ResumableAll(ALL))).rejects.toMatchObject({ code: 'LogCorrupt', details: { a: 1 } })
  expect(asked).toHaveLength(1)
})

test('where all nodes have too much to read the reader is told so', async () => {
  const nodes = new Nodes(['full', 'full', 'full'])
  await expect(read(nodes, new ResumableAll(ALL))).rejects.toMatchObject({ code: 'MailboxFull', retryable: true })
  expect(await read(new Nodes(['full', 'full']), new ResumableAll(ALL))).toEqual(numbersOf(LOG))
  // One was full before, and now all are gone.
  expect(await read(new Nodes(['full', 'page', 'gone', 'gone', 'gone']), new ResumableAll(ALL))).toEqual(numbersOf(LOG))
})

test('where all are too old, and where none is there for long, what has an end fails; what has none waits', async () => {
  const nodes = new Nodes([])
  const tooOld = async (): Promise<never> => {
    throw knowsNoReadings()
  }
  Object.assign(nodes, { lines: { line: tooOld } })
  await expect(read(nodes, new ResumableAll({ ...ALL, isLive: true }))).rejects.toMatchObject({ code: 'NotSupported' })
  const { lines } = new Nodes([])
  let looks = 0
  const away = { line: async () => ((looks += 1) > 60 ? lines.line(new Set()) : undefined) }
  Object.assign(nodes, { lines: away })
  await expect(read(nodes, new ResumableAll(ALL))).rejects.toMatchObject({
    code: 'ShardUnavailable',
    outcome: 'none',
    retryable: true,
    details: { ms: PATIENCE },
  })
  expect(looks).toBeLessThan(20)
  expect(await read(nodes, new ResumableAll({ ...ALL, isLive: true }))).toEqual(numbersOf(LOG))
})

test('patience begins anew when something has come', async () => {
  const nodes = new Nodes(['page', 'gone', 'page', 'gone'])
  const { line } = nodes.lines
  let looks = 0
  const outage = PATIENCE / 100 - 3
  const isAway = (): boolean => (looks += 1) % (outage + 1) !== 0
  const away = { line: async () => (isAway() ? undefined : line(new Set())) }
  Object.assign(nodes, { lines: away })
  expect(await read(nodes, new ResumableAll(ALL))).toEqual(numbersOf(LOG))
  expect(looks).toBeGreaterThan(2 * outage)
})
