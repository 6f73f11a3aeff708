/**
 * Workers that own shards or do not, and what the router on test has of them: connections that carry messages there and
 * replies back, each in their order and in their own time. What the log would know, all workers share.
 */
import { expect } from 'vitest'
import { shardUnavailable, toFailure } from '../../src/actor/error.ts'
import type { Message, Reply } from '../../src/actor/message.ts'
import { windowFull } from '../../src/cluster/error.ts'
import { FrameWriter } from '../../src/cluster/frame.ts'
import type { Link } from '../../src/cluster/link.ts'
import { Router, type RequestOptions } from '../../src/cluster/router.ts'
import { outgoing, PROTOCOL_VERSION, readMessages, writeReply, type Unsent } from '../../src/cluster/wire.ts'
import { ownershipLost } from '../../src/log/error.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { command } from './unsent.ts'

export const SHARDS = 2
export const WORKERS = ['a', 'b', 'c'] as const
export type Name = (typeof WORKERS)[number]

/** What a worker does with a command: it takes effect, is looked at and rejected, or fails without a look. */
export type Manner = 'serve' | 'refuse' | 'fail'

/** So often may a message at rest be sent and come back before it is answered. */
const ROUNDS_MAX = 40

interface Answer {
  readonly request: number
  readonly reply: Reply
}

/** What comes back over a connection, in order: answers, and that the worker was replaced by another. */
type Said = { readonly kind: 'answers'; readonly frame: Uint8Array } | { readonly kind: 'replaced' }

class WorkerModel {
  near: LinkModel | undefined
  /** What the connection has brought, and what it has of an earlier one that was given up. */
  unread: Message[] = []
  late: Message[] = []
  said: Said[] = []
  /** What it was sent over the connection, and what it has said of it. */
  requests: number[] = []
  answered: Answer[] = []
}

/** A request, and what its sender was told: it should be one outcome. */
interface Asked {
  readonly number: number
  readonly kind: 'command' | 'query'
  readonly abort: AbortController
  readonly told: Told[]
}

type Told =
  | { readonly kind: 'done' }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'seen'; readonly numbers: readonly number[] }
  | { readonly kind: 'failed'; readonly code: string; readonly outcome: 'none' | 'unknown' }

export class OwnersModel {
  /** In the order in which they were sent; a number tells its shard. */
  readonly asked: Asked[] = []
  /** By shard, the numbers of the commands that took effect, in that order. */
  readonly done: number[][] = Array.from({ length: SHARDS }, () => [])
  /** Decided against at least once: where nobody heard of it they are decided again, behind what came after them. */
  readonly refused: Set<number> = new Set()
  readonly #owners: { name?: Name; epoch: number }[] = Array.from({ length: SHARDS }, () => ({ epoch: 0 }))
  /** The owner and epoch that the router was told of last. */
  readonly #told: { name?: Name; epoch: number }[] = Array.from({ length: SHARDS }, () => ({ epoch: 0 }))
  readonly #workers = new Map<Name, WorkerModel>(WORKERS.map((name) => [name, new WorkerModel()]))
  readonly #clock = new SimulatedClock()
  readonly #router = new Router({
    clock: this.#clock,
    shards: SHARDS,
    underWayMax: 1000,
    timeoutMs: 1_000_000,
    onBadFrame: (_, error) => {
      throw error
    },
    onElsewhere: () => undefined,
  })

  constructor() {
    for (const name of WORKERS) this.connect(name)
    for (let shard = 0; shard < SHARDS; shard += 1) this.move(shard, 'a', true)
  }

  get underWay(): number {
    return this.#router.underWay
  }

  send(shard: number, kind: 'command' | 'query', timeoutMs: number | undefined): void {
    const number = (this.asked.length + 1) * SHARDS + shard
    const told: Told[] = []
    const abort = new AbortController()
    const outcome = {
      resolve: (reply: Reply) => void told.push(toldOf(reply)),
      reject: ({ code, outcome: effect }: { code: string; outcome: 'none' | 'unknown' }) =>
        void told.push({ kind: 'failed', code, outcome: effect }),
    }
    const options: RequestOptions = { signal: abort.signal, timeoutMs }
    this.asked.push({ number, kind, abort, told })
    this.#router.send(shard, kind === 'command' ? command(number) : query(number), outcome, options)
  }

  /** One of those who wait gives up. */
  abort(which: number): void {
    const waiting = this.asked.filter(({ told }) => told.length === 0)
    if (waiting.length > 0) waiting[which % waiting.length]!.abort.abort()
  }

  wait(ms: number): void {
    this.#clock.advance(ms)
  }

  /** The worker takes up so much of what it was sent. */
  work(name: Name, count: number, manner: Manner): void {
    const worker = this.#worker(name)
    const answers = worker.unread.splice(0, count).map((message) => this.#take(name, message, manner))
    this.#say(worker, answers)
  }

  /**
   * The worker has taken up the next message when its shard is somebody else's: the one whose claim it finds has carried
   * over what it wrote, or has not.
   */
  loseShard(name: Name, heir: Name, { isCarried, isTold }: { isCarried: boolean; isTold: boolean }): void {
    const worker = this.#worker(name)
    const message = worker.unread[0]
    if (message === undefined || !this.#isFor(name, message)) return
    worker.unread.shift()
    if (isCarried) this.#take(name, message, 'serve')
    const shard = shardOf(message)
    this.move(shard, heir, isTold)
    this.#say(worker, [{ request: message.request, reply: failed(ownershipLost(shard)) }])
  }

  /** The worker says once more something that it has said. */
  repeat(name: Name, which: number): void {
    const worker = this.#worker(name)
    if (worker.answered.length > 0) this.#say(worker, [worker.answered[which % worker.answered.length]!])
  }

  /** The worker answers what others were asked. */
  babble(name: Name, which: number, isElsewhere: boolean): void {
    const worker = this.#worker(name)
    const others = [...this.#workers].filter(([other]) => other !== name).flatMap(([, { requests }]) => requests)
    const request = others[which % others.length]
    if (request === undefined || worker.requests.includes(request)) return
    this.#say(worker, [{ request, reply: isElsewhere ? { kind: 'elsewhere', shard: 0 } : ACCEPTED }])
  }

  /** So much of what it has said arrives. */
  deliver(name: Name, count: number): void {
    const worker = this.#worker(name)
    for (const said of worker.said.splice(0, count)) {
      if (said.kind === 'answers') worker.near?.deliver(said.frame)
      else {
        this.#router.detach(name)
        this.#attach(name)
      }
    }
  }

  /** The worker ends, with so much of what it was sent; its successor has the connection, and owns nothing yet. */
  replace(name: Name, count: number): void {
    const worker = this.#worker(name)
    for (const message of worker.unread.splice(0, count)) this.#take(name, message, 'serve')
    for (const owner of this.#owners) if (owner.name === name) delete owner.name
    worker.said.push({ kind: 'replaced' })
  }

  /** The connection is given up; what the worker answers over it is lost, also of what it takes up before it notices. */
  cut(name: Name, count: number): void {
    const worker = this.#worker(name)
    for (const message of worker.unread.splice(0, count)) this.#take(name, message, 'serve')
    worker.late.push(...worker.unread.splice(0))
    worker.said = []
    worker.requests = []
    worker.answered = []
    worker.near = undefined
    this.#router.detach(name)
  }

  /** The worker takes up so much of what a connection brought that was given up. */
  workLate(name: Name, count: number): void {
    for (const message of this.#worker(name).late.splice(0, count)) this.#take(name, message, 'serve')
  }

  /** The worker is called again, and says what it serves. What is unread of the connection before never will be read. */
  connect(name: Name): void {
    const worker = this.#worker(name)
    if (worker.near !== undefined) this.cut(name, 0)
    worker.late = []
    this.#attach(name)
    for (const [shard, owner] of this.#owners.entries()) if (owner.name === name) this.#assign(shard, name, owner.epoch)
  }

  fill(name: Name, isFull: boolean): void {
    this.#worker(name).near?.fill(isFull)
  }

  /** To another owner, or back to the same in a new epoch. */
  move(shard: number, name: Name, isTold: boolean): void {
    const epoch = this.#owners[shard]!.epoch + 1
    this.#owners[shard] = { name, epoch }
    if (isTold) this.#assign(shard, name, epoch)
  }

  /** Something that was true once, or never, and never will be. */
  tell(shard: number, name: Name, ago: number): void {
    const { epoch } = this.#owners[shard]!
    this.#assign(shard, name, Math.max(1, epoch - ago))
  }

  suggest(shard: number, name: Name): void {
    this.#told[shard] = { epoch: 0 }
    this.#router.suggest(shard, name)
  }

  failWaiting(shard: number): void {
    this.#router.failWaiting(shard, shardUnavailable(shard, 'nobody is there'))
  }

  /** All is well from here on: everything gets where it should, and the router hears of what it was not told yet. */
  async end(): Promise<void> {
    for (const name of WORKERS) {
      this.workLate(name, Infinity)
      if (this.#worker(name).near === undefined) this.connect(name)
      this.fill(name, false)
    }
    for (const [shard, { name, epoch }] of this.#owners.entries()) {
      const told = this.#told[shard]!
      if (name === undefined) this.move(shard, 'a', true)
      else if (told.name !== name || told.epoch !== epoch) this.#assign(shard, name, epoch)
    }
    for (let round = 0; round < ROUNDS_MAX && this.underWay > 0; round += 1) {
      await turn()
      for (const name of WORKERS) {
        this.work(name, Infinity, 'serve')
        this.deliver(name, Infinity)
      }
    }
  }

  #worker(name: Name): WorkerModel {
    return this.#workers.get(name)!
  }

  #assign(shard: number, name: Name, epoch: number): void {
    this.#told[shard] = { name, epoch }
    this.#router.assign(shard, name, epoch)
  }

  #attach(name: Name): void {
    const worker = this.#worker(name)
    worker.near = new LinkModel((frame) => {
      const messages = readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })
      worker.unread.push(...messages)
      worker.requests.push(...messages.map(({ request }) => request))
    })
    this.#router.attach(name, worker.near)
  }

  #say(worker: WorkerModel, answers: readonly Answer[]): void {
    if (answers.length === 0 || worker.near === undefined) return
    const writer = new FrameWriter()
    for (const { request, reply } of answers) writeReply(writer, request, reply)
    worker.answered.push(...answers)
    worker.said.push({ kind: 'answers', frame: writer.take() })
  }

  #take(name: Name, message: Message, manner: Manner): Answer {
    return { request: message.request, reply: this.#reply(name, message, manner) }
  }

  #reply(name: Name, message: Message, manner: Manner): Reply {
    const number = numberOf(message)
    const shard = shardOf(message)
    const done = this.done[shard]!
    if (!this.#isFor(name, message)) return { kind: 'elsewhere', shard }
    if (manner === 'fail') {
      this.refused.add(number)
      return failed(windowFull(1))
    }
    if (message.kind !== 'command') return { kind: 'answered', value: [...done] }
    // What was not sent before need not be looked for.
    if (!(message.isFresh && message.epoch > 0) && done.includes(number)) return ACCEPTED
    if (manner === 'refuse') {
      this.refused.add(number)
      return { kind: 'rejected', code: 'no', details: undefined }
    }
    done.push(number)
    return ACCEPTED
  }

  #isFor(name: Name, message: Message): boolean {
    const owner = this.#owners[shardOf(message)]!
    return owner.name === name && (owner.epoch === message.epoch || message.epoch === 0)
  }
}

/** A link that is full when it is told to be. */
class LinkModel implements Link {
  readonly #onSent: (frame: Uint8Array) => void
  isFull = false
  #isClosed = false
  #receive: (frame: Uint8Array) => void = () => undefined
  #onDrain: () => void = () => undefined

  constructor(onSent: (frame: Uint8Array) => void) {
    this.#onSent = onSent
  }

  fill(isFull: boolean): void {
    const wasFull = this.isFull
    this.isFull = isFull
    if (wasFull && !isFull) this.#onDrain()
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    expect(this.isFull).toBe(false)
    if (!this.#isClosed) this.#onSent(frame)
  }

  deliver(frame: Uint8Array): void {
    if (!this.#isClosed) this.#receive(frame)
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.#receive = receive
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback
  }

  close(): void {
    this.#isClosed = true
  }
}

/** Lets what was sent in this turn go out. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

const ACCEPTED: Reply = { kind: 'answered', value: undefined }

function failed(error: Parameters<typeof toFailure>[0]): Reply {
  return { kind: 'failed', failure: toFailure(error) }
}

function toldOf(reply: Reply): Told {
  if (reply.kind === 'failed') return { kind: 'failed', code: reply.failure.code, outcome: reply.failure.outcome }
  if (reply.kind === 'answered' && reply.value !== undefined)
    return { kind: 'seen', numbers: reply.value as readonly number[] }
  return { kind: reply.kind === 'rejected' ? 'rejected' : 'done' }
}

function query(number: number): Unsent {
  return { kind: 'query', request: 0, epoch: 0, stream: 'account/1', name: 'done', payload: outgoing(number) }
}

function numberOf(message: Message): number {
  return message.kind === 'state' ? 0 : (message.payload as number)
}

function shardOf(message: Message): number {
  return numberOf(message) % SHARDS
}
