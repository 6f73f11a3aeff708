/** The buckets of a shard that are open, as its wheel knows them, and into which of them a timer is put. */
import type { DueBucket } from './due-bucket.ts'
import type { Bucket } from './timer-buckets.ts'
import type { DueTimer } from './timer-records.ts'

/** What is put into a bucket at once. */
export interface Put {
  readonly bucket: DueBucket
  readonly timers: readonly DueTimer[]
}

const PUT_MAX = 256

export class OpenBuckets {
  /** By name, all that are open. */
  readonly #buckets = new Map<string, DueBucket>()
  /** By level and start, where timers are put. */
  readonly #placing = new Map<string, DueBucket>()

  has(name: string): boolean {
    return this.#buckets.has(name)
  }

  /** From here on timers of its time are put into this one. */
  add(bucket: DueBucket): void {
    this.#buckets.set(bucket.name, bucket)
    this.#placing.set(keyOf(bucket), bucket)
  }

  /** Nothing is put there any more. */
  passOver(bucket: DueBucket): void {
    if (this.#placing.get(keyOf(bucket)) === bucket) this.#placing.delete(keyOf(bucket))
  }

  /** It is closed. */
  remove(bucket: DueBucket): void {
    this.#buckets.delete(bucket.name)
    this.passOver(bucket)
  }

  /** Why something with one of them fails; undefined where nothing does. */
  get trouble(): string | undefined {
    for (const { trouble } of this.#buckets.values()) if (trouble !== undefined) return trouble
    return undefined
  }

  /** The earliest first. */
  inOrder(): readonly DueBucket[] {
    return [...this.#buckets.values()].toSorted((a, b) => a.start - b.start)
  }

  /** Where each of these goes; or, where some bucket for them is not open, which ones are not. */
  putsOf(
    timers: readonly DueTimer[],
    bucketFor: (timer: DueTimer) => Bucket,
  ): { readonly puts: readonly Put[]; readonly missing: readonly Bucket[] } {
    const byKey = new Map<string, { readonly bucket: Bucket; readonly timers: DueTimer[] }>()
    for (const timer of timers) {
      const bucket = bucketFor(timer)
      const key = keyOf(bucket)
      const group = byKey.get(key)
      if (group === undefined) byKey.set(key, { bucket, timers: [timer] })
      else group.timers.push(timer)
    }
    const missing = [...byKey].filter(([key]) => !this.#placing.has(key)).map(([, { bucket }]) => bucket)
    if (missing.length > 0) return { puts: [], missing }
    const puts = [...byKey].flatMap(([key, group]) => {
      const bucket = this.#placing.get(key)!
      return chunksOf(group.timers).map((chunk) => ({ bucket, timers: chunk }))
    })
    return { puts, missing }
  }
}

function keyOf({ level, start }: Bucket): string {
  return `${level}:${start}`
}

function chunksOf(timers: readonly DueTimer[]): (readonly DueTimer[])[] {
  return Array.from({ length: Math.ceil(timers.length / PUT_MAX) }, (_, i) =>
    timers.slice(i * PUT_MAX, (i + 1) * PUT_MAX),
  )
}
