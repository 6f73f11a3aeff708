import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueHeap } from '../../src/react/due-heap.ts'
import { bucketOf, isNear, isOver, TIME_MAX, type Bucket } from '../../src/react/timer-buckets.ts'

const NOW = Date.UTC(2026, 0, 1)
const distance = fc.oneof(
  fc.integer({ min: -10_000, max: 200_000 }),
  fc.integer({ min: 0, max: 200 * 3_600_000 }),
  fc.integer({ min: 0, max: 400 }).map((years) => years * 365 * 86_400_000),
)
// Where one bucket ends and the next begins.
const edge = fc
  .record({ unit: fc.constantFrom(60_000, 3_600_000, 86_400_000), by: fc.integer({ min: -2, max: 2 }), n: fc.nat(200) })
  .map(({ unit, by, n }) => Math.floor(NOW / unit) * unit + n * unit + by)
const time = fc.oneof(
  distance.map((ms) => NOW + ms),
  edge,
)

test('a bucket begins before what is in it is due, and ends after it unless that is overdue', () => {
  fc.assert(
    fc.property(time, time, (at, now) => {
      const bucket = bucketOf(at, now)
      expect(bucket.start).toBeLessThanOrEqual(at)
      if (at >= now) expect(isOver(bucket, at)).toBe(false)
      if (bucket.level > 0) expect(isNear(bucket, now)).toBe(false)
    }),
  )
})

test('what is in a bucket that is taken up goes into finer ones', () => {
  fc.assert(
    fc.property(time, time, fc.nat(10_000), (at, now, late) => {
      const bucket = bucketOf(at, now)
      if (bucket.level === 0) return
      const near = Math.max(now, bucket.start - 60_000) + late
      expect(bucketOf(at, near).level).toBeLessThan(bucket.level)
    }),
  )
})

test('there are some hundred buckets at most, up to the end of time', () => {
  const seen = new Set<string>()
  for (let ms = 1; NOW + ms < TIME_MAX; ms *= 1.0005) {
    const { level, start } = bucketOf(Math.floor(NOW + ms), NOW)
    seen.add(`${level} ${start}`)
  }
  expect(seen.size).toBeLessThan(1_000)
})

/** Wheels in memory: buckets that come near are put into finer ones, and their timers fired in time. */
class Wheels {
  readonly #buckets = new Map<string, { readonly bucket: Bucket; readonly timers: number[] }>()
  readonly #heap = new DueHeap<{ readonly due: number }>()

  add(at: number, now: number): void {
    const bucket = bucketOf(at, now)
    if (bucket.level === 0 && isNear(bucket, now)) return this.#heap.push({ due: at })
    const key = `${bucket.level} ${bucket.start}`
    const known = this.#buckets.get(key)
    if (known === undefined) this.#buckets.set(key, { bucket, timers: [at] })
    else known.timers.push(at)
  }

  /** What fires now. */
  turn(now: number): number[] {
    for (const [key, { bucket, timers }] of this.#buckets) {
      if (!isNear(bucket, now)) continue
      this.#buckets.delete(key)
      for (const at of timers) this.add(at, now)
    }
    const fired: number[] = []
    while (this.#heap.first !== undefined && this.#heap.first.due <= now) fired.push(this.#heap.pop()!.due)
    return fired
  }
}

test('each timer fires once, not before its time, and at the first look after it, whatever the clock does', () => {
  const look = fc.oneof(fc.nat(90_000), fc.nat(10 * 3_600_000), fc.integer({ min: -7_200_000, max: 40 * 86_400_000 }))
  fc.assert(
    fc.property(fc.array(distance, { maxLength: 30 }), fc.array(look, { maxLength: 40 }), (distances, looks) => {
      const wheels = new Wheels()
      const waiting = new Map<number, number>()
      let now = NOW
      const add = (at: number): void => {
        waiting.set(at, (waiting.get(at) ?? 0) + 1)
        wheels.add(at, now)
      }
      for (const ms of [...looks, 500 * 366 * 86_400_000]) {
        for (const each of distances.splice(0, 3)) add(now + each)
        now += ms
        for (const at of wheels.turn(now)) {
          expect(at).toBeLessThanOrEqual(now)
          expect(waiting.get(at)).toBeGreaterThan(0)
          waiting.set(at, waiting.get(at)! - 1)
        }
        for (const [at, count] of waiting) if (at <= now) expect(count).toBe(0)
      }
      for (const each of distances) add(now + each)
    }),
  )
})

test('what is due first comes out of the heap first', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), (times) => {
      const heap = new DueHeap<{ readonly due: number }>()
      for (const due of times) heap.push({ due })
      expect(times.map(() => heap.pop()!.due)).toEqual(times.toSorted((a, b) => a - b))
      expect(heap.first).toBeUndefined()
    }),
  )
})
