/**
 * What a worker's thread is at, in memory that the main thread can read while the worker cannot answer: whether it stirs
 * at all, whether users' code runs, for which aggregate and request, and how often it has begun.
 */
import type { Message } from '../actor/message.ts'
import { STREAM_BYTES_MAX } from '../log/stream.ts'

const WORD = { count: 0, isBusy: 1, request: 2, streamLength: 3, nameLength: 4, stirs: 5, isOverdue: 6 } as const
const WORDS = 7
const STREAM_LENGTH_MAX = STREAM_BYTES_MAX
/** Of a longer name, what it begins with. */
const NAME_LENGTH_MAX = 128
/** No sender's number. */
const NOT_OURS = 0

/** What users' code runs for. */
export interface Occupation {
  readonly stream: string
  /** Of the command or query, or `state`. */
  readonly name: string
  /** The number that the node's own router gave it; undefined where it came from another node. */
  readonly request: number | undefined
}

export interface ProgressReading {
  /** How often the thread has done anything of its own. */
  readonly stirs: number
  /** A call of it to the disk takes far too long, whatever else it does meanwhile. */
  readonly isOverdue: boolean
  /** How often users' code has begun. */
  readonly count: number
  /** Undefined while none of users' code runs, or where it changed while it was read. */
  readonly occupation: Occupation | undefined
}

/** Told before and after users' code runs. */
export interface ProgressWriter {
  /** The thread does something; a call of it to the disk may be overdue all the same. */
  stir(isOverdue: boolean): void
  /** `isOurs`: it came from the node's own router, whose number it has. */
  enter(message: Message, isOurs: boolean): void
  leave(): void
}

/** Of a thread that nobody watches. */
export const UNWATCHED: ProgressWriter = { stir: () => undefined, enter: () => undefined, leave: () => undefined }

export function createProgressMemory(): SharedArrayBuffer {
  const chars = (STREAM_LENGTH_MAX + NAME_LENGTH_MAX) * Uint16Array.BYTES_PER_ELEMENT
  return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT + chars)
}

export function writeProgress(memory: SharedArrayBuffer): ProgressWriter {
  const words = new Int32Array(memory, 0, WORDS)
  const chars = charsOf(memory)
  return {
    stir(isOverdue) {
      Atomics.store(words, WORD.isOverdue, Number(isOverdue))
      Atomics.add(words, WORD.stirs, 1)
    },
    enter(message, isOurs) {
      // Whoever reads what follows before all of it is there finds the thread idle, or another count.
      Atomics.store(words, WORD.isBusy, 0)
      words[WORD.request] = isOurs ? message.request : NOT_OURS
      words[WORD.streamLength] = write(chars, 0, message.stream, STREAM_LENGTH_MAX)
      words[WORD.nameLength] = write(
        chars,
        STREAM_LENGTH_MAX,
        message.kind === 'state' ? 'state' : message.name,
        NAME_LENGTH_MAX,
      )
      Atomics.add(words, WORD.count, 1)
      Atomics.store(words, WORD.isBusy, 1)
    },
    leave: () => void Atomics.store(words, WORD.isBusy, 0),
  }
}

export function readProgress(memory: SharedArrayBuffer): ProgressReading {
  const words = new Int32Array(memory, 0, WORDS)
  const [stirs, count] = [Atomics.load(words, WORD.stirs), Atomics.load(words, WORD.count)]
  const isOverdue = Atomics.load(words, WORD.isOverdue) === 1
  const idle = { stirs, isOverdue, count, occupation: undefined }
  if (Atomics.load(words, WORD.isBusy) === 0) return idle
  const chars = charsOf(memory)
  const request = words[WORD.request]! >>> 0
  const occupation = {
    stream: read(chars, 0, words[WORD.streamLength]!),
    name: read(chars, STREAM_LENGTH_MAX, words[WORD.nameLength]!),
    request: request === NOT_OURS ? undefined : request,
  }
  // In this order: it is idle before it is at something else, and busy again after it has counted that.
  const isBusy = Atomics.load(words, WORD.isBusy) === 1
  const again = Atomics.load(words, WORD.count)
  return isBusy && again === count ? { ...idle, occupation } : { ...idle, count: again }
}

function charsOf(memory: SharedArrayBuffer): Uint16Array {
  return new Uint16Array(memory, WORDS * Int32Array.BYTES_PER_ELEMENT)
}

function write(chars: Uint16Array, at: number, text: string, lengthMax: number): number {
  const length = Math.min(text.length, lengthMax)
  for (let i = 0; i < length; i += 1) chars[at + i] = text.charCodeAt(i)
  return length
}

function read(chars: Uint16Array, at: number, length: number): string {
  return String.fromCharCode(...chars.subarray(at, at + length))
}
