/**
 * What a worker's thread is at, in memory that the main thread can read while the worker cannot answer: whether users'
 * code runs, for which request, and how often it has begun.
 */
import type { Progress } from '../actor/progress.ts'

const WORD = { count: 0, isBusy: 1, request: 2 } as const
const WORDS = 4

export interface ProgressReading {
  readonly count: number
  readonly isBusy: boolean
  readonly request: number
}

export function createProgressMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT)
}

export function writeProgress(memory: SharedArrayBuffer): Progress {
  const words = new Int32Array(memory)
  return {
    enter(_sender, request) {
      Atomics.store(words, WORD.request, request)
      Atomics.add(words, WORD.count, 1)
      Atomics.store(words, WORD.isBusy, 1)
    },
    leave: () => void Atomics.store(words, WORD.isBusy, 0),
  }
}

export function readProgress(memory: SharedArrayBuffer): ProgressReading {
  const words = new Int32Array(memory)
  return {
    count: Atomics.load(words, WORD.count),
    isBusy: Atomics.load(words, WORD.isBusy) === 1,
    request: Atomics.load(words, WORD.request) >>> 0,
  }
}
