/**
 * What nodes tell each other beside the messages: who owns what, what was handed over, and that they live. A frame is a
 * MessagePack list: the kind, and then, for each shard, its numbers; for calls of projections what projection-call.ts says.
 */
import { BadEncoding, decode, encode } from '../log/codec.ts'
import { isCount } from '../log/count.ts'
import type { KnownTail, Tail } from '../log/tail.ts'
import { BadFrame } from './frame.ts'
import {
  answerParts,
  callParts,
  toCall,
  toProjectionAnswer,
  type ProjectionAnswer,
  type ProjectionCall,
} from './projection-call.ts'

export type ControlMessage =
  /** The sender's workers serve these shards, in these epochs. */
  | { readonly kind: 'serving'; readonly shards: readonly ServedShard[] }
  /** The sender has given these shards up for the receiver's workers, who need not wait for a lease to claim them. */
  | { readonly kind: 'handed'; readonly shards: readonly HandedShard[] }
  /** An operator wants the receiver to give up its shards. */
  | { readonly kind: 'drain' }
  /** Somebody wants to know how far the receiver's workers are, and is told. */
  | { readonly kind: 'measure' }
  | ({ readonly kind: 'measured' } & NodeMeasure)
  /**
   * How far is the journal of a worker of the receiver: as soon as there is more than is known, or after `ms`; where
   * `above` is not 0, once nothing can come at that position or below it any more.
   */
  | ({ readonly kind: 'tail' } & TailQuestion)
  | ({ readonly kind: 'tailed' } & TailAnswer)
  /** An operator asks something of the projections that the receiver runs, and is answered. */
  | ({ readonly kind: 'projection' } & ProjectionCall)
  | ({ readonly kind: 'projection-answer' } & ProjectionAnswer)
  /** The receiver, who has called, works on other data than the sender, though under the same id: a copy. */
  | { readonly kind: 'other-data' }
  | { readonly kind: 'ping' }
  | { readonly kind: 'pong' }

export interface TailQuestion {
  /** The caller's number for it; the answer carries it. */
  readonly request: number
  readonly worker: number
  readonly above: number
  readonly ms: number
  readonly known: KnownTail | undefined
}

export interface TailAnswer {
  readonly request: number
  /** Undefined where there is no such worker, or it has ended, or cannot say. */
  readonly tail: Tail | undefined
}

export interface HandedShard {
  readonly shard: number
  readonly worker: number
}

export interface ServedShard extends HandedShard {
  readonly epoch: number
}

/** How far a node's workers are, measured when it was asked for. */
export interface NodeMeasure {
  /** By number. */
  readonly workers: readonly WorkerMeasure[]
  readonly shards: readonly ShardMeasure[]
}

/** `silent`: it did not answer in time, or is being replaced. `full`: there is no room for what it would write. */
export interface WorkerMeasure {
  readonly state: (typeof WORKER_STATES)[number]
  readonly journal: number
  /** What was decided and is not durable, and how long the oldest of it has waited. */
  readonly records: number
  readonly bytes: number
  readonly oldestMs: number
}

export interface ShardMeasure extends ServedShard {
  readonly state: (typeof SHARD_STATES)[number]
  /** Of its newest durable event. */
  readonly seq: number
  /** Events that were decided and are not durable yet. */
  readonly undurable: number
  /** How long it has been awaited. */
  readonly ms: number
}

const WORKER_STATES = ['silent', 'writes', 'full'] as const
const SHARD_STATES = ['served', 'leaving', 'awaited'] as const
const Kind = {
  serving: 1,
  handed: 2,
  ping: 3,
  pong: 4,
  drain: 5,
  measure: 6,
  measured: 7,
  'other-data': 8,
  tail: 9,
  tailed: 10,
  projection: 11,
  'projection-answer': 12,
} as const
const WORKER_NUMBERS = 5
const SHARD_NUMBERS = 7
const KNOWN_NUMBERS = 4

export function encodeControl(message: ControlMessage): Uint8Array {
  switch (message.kind) {
    case 'serving':
      return encode([Kind.serving, ...message.shards.flatMap(({ shard, worker, epoch }) => [shard, worker, epoch])])
    case 'handed':
      return encode([Kind.handed, ...message.shards.flatMap(({ shard, worker }) => [shard, worker])])
    case 'tail':
      return encode([Kind.tail, ...questionNumbers(message)])
    case 'tailed':
      return encode([Kind.tailed, message.request, ...tailNumbers(message.tail)])
    case 'projection':
      return encode([Kind.projection, ...callParts(message)])
    case 'projection-answer':
      return encode([Kind['projection-answer'], ...answerParts(message)])
    case 'measured':
      return encode([Kind.measured, ...measureNumbers(message)])
    case 'drain':
    case 'measure':
    case 'other-data':
    case 'ping':
    case 'pong':
      return encode([Kind[message.kind]])
  }
}

/** @throws BadFrame */
export function decodeControl(frame: Uint8Array): ControlMessage {
  const [kind, ...parts] = decodeList(frame)
  if (kind === Kind.projection) return { kind: 'projection', ...toCall(parts) }
  if (kind === Kind['projection-answer']) return { kind: 'projection-answer', ...toProjectionAnswer(parts) }
  if (!parts.every(isCount)) throw notNumbers()
  const numbers: readonly number[] = parts
  if (kind === Kind.drain && numbers.length === 0) return { kind: 'drain' }
  if (kind === Kind.measure && numbers.length === 0) return { kind: 'measure' }
  if (kind === Kind.measured) return { kind: 'measured', ...toMeasure(numbers) }
  if (kind === Kind['other-data'] && numbers.length === 0) return { kind: 'other-data' }
  if (kind === Kind.tail) return { kind: 'tail', ...toQuestion(numbers) }
  if (kind === Kind.tailed) return { kind: 'tailed', ...toAnswer(numbers) }
  if (kind === Kind.ping && numbers.length === 0) return { kind: 'ping' }
  if (kind === Kind.pong && numbers.length === 0) return { kind: 'pong' }
  if (kind === Kind.serving && numbers.length % 3 === 0) {
    return {
      kind: 'serving',
      shards: rows<Three>(numbers, 3).map(([shard, worker, epoch]) => ({ shard, worker, epoch })),
    }
  }
  if (kind === Kind.handed && numbers.length % 2 === 0) {
    return { kind: 'handed', shards: rows<Three>(numbers, 2).map(([shard, worker]) => ({ shard, worker })) }
  }
  throw noMessage()
}

function questionNumbers({ request, worker, above, ms, known }: TailQuestion): number[] {
  return [request, worker, above, ms, ...(known === undefined ? [] : knownNumbers(known))]
}

function toQuestion([request, worker, above, ms, ...rest]: readonly number[]): TailQuestion {
  if (ms === undefined) throw noMessage()
  return { request: request!, worker: worker!, above: above!, ms, known: rest.length === 0 ? undefined : toKnown(rest) }
}

function knownNumbers({ journal, end: { segment, offset }, ownership }: KnownTail): number[] {
  return [journal, segment, offset, ownership]
}

function toKnown(numbers: readonly number[]): KnownTail {
  if (numbers.length !== KNOWN_NUMBERS) throw noMessage()
  const [journal, segment, offset, ownership] = numbers as Four
  return { journal, end: { segment, offset }, ownership }
}

function tailNumbers(tail: Tail | undefined): number[] {
  if (tail === undefined) return []
  const shards = tail.shards.flatMap(({ shard, epoch, opening, position }) => {
    return [shard, epoch, opening.segment, opening.offset, position]
  })
  return [...knownNumbers(tail), tail.position, ...shards]
}

function toAnswer([request, ...numbers]: readonly number[]): TailAnswer {
  if (request === undefined) throw noMessage()
  if (numbers.length === 0) return { request, tail: undefined }
  const [position, ...ofShards] = numbers.slice(KNOWN_NUMBERS)
  if (position === undefined || ofShards.length % 5 !== 0) throw noMessage()
  const shards = rows<Five>(ofShards, 5).map(([shard, epoch, segment, offset, newest]) => {
    return { shard, epoch, opening: { segment, offset }, position: newest }
  })
  return { request, tail: { ...toKnown(numbers.slice(0, KNOWN_NUMBERS)), position, shards } }
}

function measureNumbers({ workers, shards }: NodeMeasure): number[] {
  return [
    workers.length,
    ...workers.flatMap(({ state, journal, records, bytes, oldestMs }) => {
      return [WORKER_STATES.indexOf(state), journal, records, bytes, oldestMs]
    }),
    ...shards.flatMap(({ shard, worker, epoch, state, seq, undurable, ms }) => {
      return [shard, worker, epoch, SHARD_STATES.indexOf(state), seq, undurable, ms]
    }),
  ]
}

function toMeasure([count = -1, ...numbers]: readonly number[]): NodeMeasure {
  const ofWorkers = count * WORKER_NUMBERS
  const ofShards = numbers.length - ofWorkers
  if (count < 0 || ofShards < 0 || ofShards % SHARD_NUMBERS !== 0) throw noMessage()
  const workers = rows<Five>(numbers.slice(0, ofWorkers), WORKER_NUMBERS)
  const shards = rows<Seven>(numbers.slice(ofWorkers), SHARD_NUMBERS)
  return {
    workers: workers.map(([state, journal, records, bytes, oldestMs]) => {
      return { state: named(WORKER_STATES, state), journal, records, bytes, oldestMs }
    }),
    shards: shards.map(([shard, worker, epoch, state, seq, undurable, ms]) => {
      return { shard, worker, epoch, state: named(SHARD_STATES, state), seq, undurable, ms }
    }),
  }
}

function named<Name>(names: readonly Name[], number: number): Name {
  const name = names[number]
  if (name === undefined) throw noMessage()
  return name
}

function noMessage(): BadFrame {
  return new BadFrame('a control message is none')
}

function decodeList(frame: Uint8Array): unknown[] {
  try {
    const list = decode(frame, 0, frame.length)
    if (Array.isArray(list)) return list
  } catch (error) {
    if (!(error instanceof BadEncoding)) throw error
  }
  throw notNumbers()
}

function notNumbers(): BadFrame {
  return new BadFrame('a control message is no list of numbers')
}

type Three = [number, number, number]
type Four = [...Three, number]
type Five = [...Three, number, number]
type Seven = [...Five, number, number]

function rows<Row extends number[]>(numbers: readonly number[], width: number): Row[] {
  const count = numbers.length / width
  return Array.from({ length: count }, (_, i) => numbers.slice(i * width, (i + 1) * width) as Row)
}
