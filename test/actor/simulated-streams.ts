/**
 * Appends to simple and to partitioned streams over a simulated disk: writers who ask until they are answered, and a worker
 * that dies under them. What they were told is held against the log by a model that knows of versions alone.
 */
import { expect } from 'vitest'
import { APPEND, READ, type ExpectedVersion, type NewEvent } from '../../src/actor/append.ts'
import { DEFAULT_ACTOR_LIMITS } from '../../src/actor/limits.ts'
import type { CommandMessage, Message, Reply, Sender } from '../../src/actor/message.ts'
import { decodePage, encodePageRequest, type Mark, type PageRequest } from '../../src/actor/page.ts'
import { Worker } from '../../src/actor/worker.ts'
import { hashPlain } from '../../src/aggregate/plain.ts'
import { deriveId, formatId, parseId } from '../../src/log/identity.ts'
import { Log } from '../../src/log/log.ts'
import { splitRecords } from '../../src/log/recorded-event.ts'
import type { LogRecord } from '../../src/log/record.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'
import { isExpected, turn } from './simulated-bank.ts'

/** An append that somebody wants. Which versions it names is known when it is first sent. */
export interface Wish {
  readonly stream: 'simple/1' | 'simple/2' | 'partitioned/1' | 'partitioned/2'
  readonly events: number
  readonly expected: 'any' | 'no-stream' | 'stream-exists' | 'believed'
  /** By how much whoever appends is wrong about versions. */
  readonly wrong: 0 | 1
  readonly aggregate: number
}

interface Sent {
  readonly stream: string
  readonly events: readonly NewEvent[]
  readonly expected: ExpectedVersion
  /** What was acknowledged by then: of the stream, and of the aggregate in it. */
  readonly known: { readonly stream: number; readonly aggregate: number }
}

const SHARDS = 2

export class SimulatedStreams {
  readonly disk = new SimulatedDisk()
  readonly random: SeededRandom
  readonly replies = new Map<number, Reply>()
  readonly #clock = new SimulatedClock()
  readonly #wishes: readonly Wish[]
  readonly #segmentBytes: number
  readonly #sent = new Map<number, Sent>()
  /** What replies have told: by stream, or by aggregate in a stream, its version. */
  readonly #believed = new Map<string, number>()
  /** The same, of what was acknowledged alone. */
  readonly #acknowledged = new Map<string, number>()

  constructor(
    wishes: readonly Wish[],
    { segmentBytes, seed }: { readonly segmentBytes: number; readonly seed: number },
  ) {
    this.#wishes = wishes
    this.#segmentBytes = segmentBytes
    this.random = new SeededRandom(seed)
  }

  /** One life of the process: sends what is unanswered, `chunk` appends at a time, until it dies or is done. */
  async live(plan: Plan, chunk: number): Promise<void> {
    const storage = new SimulatedStorage(this.disk, plan)
    let isBroken = false
    try {
      const worker = await this.#start(storage, () => (isBroken = true))
      const open = this.#wishes.map((_, i) => i).filter((i) => !this.replies.has(i))
      for (let at = 0; at < open.length && !isBroken; at += chunk) {
        worker.receive(
          this.#sender(),
          open.slice(at, at + chunk).map((i) => this.#message(i)),
        )
        this.#clock.advance(1)
        if (this.random.chance(0.5)) await turn()
      }
      await turn()
      if (!isBroken && !storage.isDead) await worker.close()
    } catch (error) {
      if (!storage.isDead && !isExpected(error)) throw error
    }
    await turn()
    storage.kill()
  }

  /** Holds what was told against what a fresh process reads. Returns how many appends took effect, and were refused. */
  async check(): Promise<{ readonly accepted: number; readonly refused: number }> {
    const worker = await this.#start(new SimulatedStorage(this.disk), (error) => {
      throw error
    })
    for (const stream of new Set(this.#wishes.map((wish) => wish.stream))) {
      const records = await read(worker, stream, false)
      expect((await read(worker, stream, true)).map(({ version }) => version)).toEqual(
        records.map(({ version }) => version).toReversed(),
      )
      this.#checkStream(stream, records)
    }
    await worker.close()
    const refused = [...this.replies.values()].filter(({ kind }) => kind === 'failed').length
    return { accepted: this.replies.size - refused, refused }
  }

  #checkStream(stream: string, records: readonly LogRecord[]): void {
    const isPartitioned = stream.startsWith('partitioned/')
    const versions = new Map<string, number>()
    const seen = new Set<number>()
    for (let at = 0; at < records.length;) {
      const commandId = formatId(records[at]!.commandId)
      const index = this.#wishes.findIndex((_, i) => commandIdOf(i) === commandId)
      const { events, expected } = this.#sent.get(index)!
      expect(seen.has(index), `append ${index} took effect once`).toBe(false)
      seen.add(index)
      expect(isMet(expected, at), `append ${index} found ${expected} at version ${at}`).toBe(true)
      for (const event of events) {
        const record = records[at]
        at += 1
        expect([record?.version, record?.type], `append ${index} is whole`).toEqual([at, event.type])
        expect(formatId(record!.commandId)).toBe(commandId)
        if (!isPartitioned) continue
        const { id, version } = event.aggregate!
        expect(version, `aggregate ${id} counts 1, 2, 3 …`).toBe((versions.get(id) ?? 0) + 1)
        versions.set(id, version)
        expect(record!.metadata).toEqual({ $aggregate: event.aggregate })
      }
      const reply = this.replies.get(index)
      if (reply?.kind === 'accepted') expect(reply.version, `append ${index} stands where it was told`).toBe(at)
      else expect(reply, `append ${index} took effect and was refused`).toBeUndefined()
    }
    for (const [index, reply] of this.replies) {
      if (this.#wishes[index]!.stream !== stream) continue
      if (reply.kind === 'accepted') expect(seen.has(index), `append ${index} was acknowledged`).toBe(true)
      else this.#checkRefusal(index, reply, { length: records.length, versions })
    }
  }

  /** What a refusal names was not as expected, and no more than what there is. */
  #checkRefusal(
    index: number,
    reply: Reply,
    { length, versions }: { readonly length: number; readonly versions: ReadonlyMap<string, number> },
  ): void {
    const { details } = (reply as Reply & { kind: 'failed' }).failure
    const { expected, actual, aggregate } = details as {
      readonly expected: ExpectedVersion
      readonly actual: number | 'no-stream'
      readonly aggregate?: { readonly id: string }
    }
    const sent = this.#sent.get(index)!
    const version = actual === 'no-stream' ? 0 : actual
    const { stream, aggregate: known } = sent.known
    expect(version, 'a refusal knows what was acknowledged').toBeGreaterThanOrEqual(aggregate ? known : stream)
    if (aggregate === undefined) {
      expect(expected).toBe(sent.expected)
      expect(isMet(sent.expected, version), `append ${index} was refused for a reason`).toBe(false)
      expect(version).toBeLessThanOrEqual(length)
    } else {
      expect(expected).not.toBe(actual)
      expect(sent.events.map((event) => event.aggregate!.version - 1)).toContain(expected)
      expect(actual).toBeLessThanOrEqual((versions.get(aggregate.id) ?? 0) + sent.events.length)
    }
  }

  async #start(storage: SimulatedStorage, onBroken: (error: unknown) => void): Promise<Worker> {
    const own = Array.from({ length: SHARDS }, (_, shard) => shard)
    const segmentBytes = this.#segmentBytes
    const clock = this.#clock
    const log = await Log.open({ storage, clock, clusterId: 'test', shards: SHARDS, own, segmentBytes, node: 'test' })
    for (const error of log.refusedShards.values()) throw error
    const progress = { enter: () => undefined, leave: () => undefined }
    const limits = { ...DEFAULT_ACTOR_LIMITS, activeActorsMax: 2 }
    const callbacks = { progress, quarantined: [], onWarning: () => undefined, onLost: () => undefined, onBroken }
    return new Worker({ log, clock, random: this.random, aggregates: [], limits, ...callbacks })
  }

  #sender(): Sender {
    return {
      reply: (request, reply) => {
        if (reply.kind === 'failed' && reply.failure.code !== 'ConcurrencyError') return
        const first = this.replies.get(request)
        if (first !== undefined) return
        this.replies.set(request, reply)
        this.#learn(request, reply)
      },
      flush: () => undefined,
    }
  }

  #learn(index: number, reply: Reply): void {
    const { stream, events } = this.#sent.get(index)!
    if (reply.kind === 'accepted') {
      this.#acknowledge(stream, reply.version)
      for (const { aggregate } of events) {
        if (aggregate !== undefined) this.#acknowledge(`${stream} ${aggregate.id}`, aggregate.version)
      }
    } else if (reply.kind === 'failed') {
      const { actual, aggregate } = reply.failure.details as {
        readonly actual: number | 'no-stream'
        readonly aggregate?: { readonly id: string }
      }
      const version = actual === 'no-stream' ? 0 : actual
      this.#believed.set(aggregate === undefined ? stream : `${stream} ${aggregate.id}`, version)
    }
  }

  #acknowledge(key: string, version: number): void {
    this.#believed.set(key, version)
    this.#acknowledged.set(key, Math.max(version, this.#acknowledged.get(key) ?? 0))
  }

  #message(index: number): CommandMessage {
    const isFresh = !this.#sent.has(index)
    const sent = this.#sent.get(index) ?? this.#make(this.#wishes[index]!)
    this.#sent.set(index, sent)
    const { stream, events, expected } = sent
    return {
      kind: 'command',
      request: index,
      epoch: 0,
      stream,
      name: APPEND,
      payload: { events, expected },
      commandId: parseId(commandIdOf(index)),
      payloadHash: hashPlain({ events }, 0),
      isFresh,
      isAgain: !isFresh,
      expectedVersion: -1,
      deadline: Number.POSITIVE_INFINITY,
      after: 0,
      since: 0,
      sentIn: undefined,
      waitsForReactors: false,
      metadata: undefined,
    }
  }

  #make({ stream, events, expected, wrong, aggregate }: Wish): Sent {
    const id = `${aggregate}`
    const before = (this.#believed.get(`${stream} ${id}`) ?? 0) + (expected === 'believed' ? 0 : wrong)
    const made = Array.from({ length: events }, (_, i): NewEvent => {
      if (stream.startsWith('simple/')) return { type: `Happened${i}`, data: { i } }
      return { type: `Happened${i}`, aggregate: { type: 'thing', id, version: before + i + 1 } }
    })
    const version = expected === 'believed' ? (this.#believed.get(stream) ?? 0) + wrong : expected
    const [ofStream, ofAggregate] = [stream, `${stream} ${id}`].map((key) => this.#acknowledged.get(key) ?? 0)
    return { stream, events: made, expected: version, known: { stream: ofStream!, aggregate: ofAggregate! } }
  }
}

function commandIdOf(index: number): string {
  return deriveId('append', index)
}

function isMet(expected: ExpectedVersion, version: number): boolean {
  if (expected === 'no-stream') return version === 0
  if (expected === 'stream-exists') return version > 0
  return expected === 'any' || expected === version
}

/** All of a stream, page by page. */
export function read(worker: Worker, stream: string, isBackwards: boolean): Promise<LogRecord[]> {
  const range = { from: 1, to: undefined, isBackwards, limit: 1e9, filter: undefined }
  return readWith((request) => ask(worker, stream, encodePageRequest(request)), range)
}

/** What is asked for, page by page, as the store reads it. */
export async function readWith(
  readPage: (request: PageRequest) => Promise<unknown>,
  { from: first, limit, ...request }: Omit<PageRequest, 'at'>,
): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const marks: Mark[] = []
  let from = first
  let upTo: { readonly version: number | undefined; readonly address?: Mark['address'] } = { version: request.to }
  while (records.length < limit) {
    const range = { from, to: upTo.version, at: upTo.address, limit: limit - records.length }
    const page = decodePage(await readPage({ ...request, ...range }))!
    records.push(...splitRecords(page.records))
    marks.push(...page.marks)
    if (!request.isBackwards) from = page.next
    const next = marks.pop()
    if (next === undefined) break
    upTo = next
  }
  return records
}

export function ask(worker: Worker, stream: string, payload: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const reply = (_: number, told: Reply): void => {
      if (told.kind === 'answered') resolve(told.value)
      else reject(new Error(JSON.stringify(told)))
    }
    const query: Message = { kind: 'query', request: 1, epoch: 0, stream, name: READ, payload }
    worker.receive({ reply, flush: () => undefined }, [query])
  })
}
