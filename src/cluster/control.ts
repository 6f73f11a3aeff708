/**
 * What nodes tell each other beside the messages: who owns what, what was handed over, and that they live. A frame is a
 * MessagePack list: the kind, and then, for each shard, its numbers.
 */
import { BadEncoding, decode, encode } from '../log/codec.ts'
import { isCount } from '../log/count.ts'
import { BadFrame } from './frame.ts'

export type ControlMessage =
  /** The sender's workers serve these shards, in these epochs. */
  | { readonly kind: 'serving'; readonly shards: readonly ServedShard[] }
  /** The sender has given these shards up for the receiver's workers, who need not wait for a lease to claim them. */
  | { readonly kind: 'handed'; readonly shards: readonly HandedShard[] }
  /** An operator wants the receiver to give up its shards. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'ping' }
  | { readonly kind: 'pong' }

export interface HandedShard {
  readonly shard: number
  readonly worker: number
}

export interface ServedShard extends HandedShard {
  readonly epoch: number
}

const Kind = { serving: 1, handed: 2, ping: 3, pong: 4, drain: 5 } as const

export function encodeControl(message: ControlMessage): Uint8Array {
  switch (message.kind) {
    case 'serving':
      return encode([Kind.serving, ...message.shards.flatMap(({ shard, worker, epoch }) => [shard, worker, epoch])])
    case 'handed':
      return encode([Kind.handed, ...message.shards.flatMap(({ shard, worker }) => [shard, worker])])
    case 'drain':
    case 'ping':
    case 'pong':
      return encode([Kind[message.kind]])
  }
}

/** @throws BadFrame */
export function decodeControl(frame: Uint8Array): ControlMessage {
  const [kind, ...numbers] = decodeNumbers(frame)
  if (kind === Kind.drain && numbers.length === 0) return { kind: 'drain' }
  if (kind === Kind.ping && numbers.length === 0) return { kind: 'ping' }
  if (kind === Kind.pong && numbers.length === 0) return { kind: 'pong' }
  if (kind === Kind.serving && numbers.length % 3 === 0) {
    return { kind: 'serving', shards: rows(numbers, 3).map(([shard, worker, epoch]) => ({ shard, worker, epoch })) }
  }
  if (kind === Kind.handed && numbers.length % 2 === 0) {
    return { kind: 'handed', shards: rows(numbers, 2).map(([shard, worker]) => ({ shard, worker })) }
  }
  throw new BadFrame('a control message is none')
}

function decodeNumbers(frame: Uint8Array): number[] {
  try {
    const list = decode(frame, 0, frame.length)
    if (Array.isArray(list) && list.every(isCount)) return list
  } catch (error) {
    if (!(error instanceof BadEncoding)) throw error
  }
  throw new BadFrame('a control message is no list of numbers')
}

function rows(numbers: readonly number[], width: number): [number, number, number][] {
  const count = numbers.length / width
  return Array.from({ length: count }, (_, i) => numbers.slice(i * width, (i + 1) * width) as [number, number, number])
}
