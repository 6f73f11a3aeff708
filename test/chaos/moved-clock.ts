/**
 * A wall clock that can be moved: to be imported by a node's process and by all of its threads. Timers and the monotonic
 * clock go on as they are, as they do on a machine whose clock is set.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'

const KEY = 'penhold-chaos-clock'
/** By how many milliseconds; the same memory in all threads. */
const moved = (isMainThread ? undefined : (getEnvironmentData(KEY) as Int32Array | undefined)) ?? make()

function make(): Int32Array {
  const memory = new Int32Array(new SharedArrayBuffer(4))
  setEnvironmentData(KEY, memory)
  return memory
}

const RealDate = Date
const now = (): number => RealDate.now() + Atomics.load(moved, 0)

globalThis.Date = new Proxy(RealDate, {
  get: (target, name): unknown => (name === 'now' ? now : Reflect.get(target, name)),
  apply: (target) => new target(now()).toString(),
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
})

/** Sets the clock of this process to so many milliseconds before or after the machine's. */
export function moveClock(ms: number): void {
  Atomics.store(moved, 0, ms)
}
