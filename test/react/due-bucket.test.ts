/** A bucket with more timers than there is room for, read into memory bit by bit. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueBucket, type ReadPut } from '../../src/react/due-bucket.ts'
import type { DueTimer } from '../../src/react/timer-records.ts'

const MINUTE = 60_000
const PUT_MOST = 256

function timerAt(at: number, token: string): DueTimer {
  return { at, stream: '$timer/a', id: token, token, position: 1, causationId: '', correlationId: '' }
}

/** The stream of a bucket, and so many timers as were read of it. */
class Puts {
  readonly puts: ReadPut[] = []
  read = 0

  put(ats: readonly number[]): ReadPut {
    const version = this.puts.length + 1
    const put = { version, timers: ats.map((at, i) => timerAt(at, `${version}/${i}`)) }
    this.puts.push(put)
    return put
  }

  readonly from = async function* (this: Puts, from: number): AsyncGenerator<ReadPut> {
    for (let version = from; version <= this.puts.length; version += 1) {
      const put = this.puts[version - 1]!
      this.read += put.timers.length
      yield put
    }
  }.bind(this)
}

function bucket(): DueBucket {
  const created = new DueBucket('1', '$due/1', { level: 0, start: 0, since: 0 })
  created.isTaken = true
  return created
}

test('once all of a bucket is due it is read once, however little room there is', async () => {
  const puts = new Puts()
  for (let i = 0; i < 400; i += 1)
    puts.put(Array.from({ length: PUT_MOST }, (_, n) => ((i * 257 + n) * 7_919) % MINUTE))
  const all = 400 * PUT_MOST
  const taken = bucket()
  const picked: DueTimer[] = []
  while (taken.left !== undefined) picked.push(...(await taken.pick(puts.from, { most: 1_000, now: MINUTE })))
  expect(new Set(picked.map(({ token }) => token)).size).toBe(all)
  expect(picked).toHaveLength(all)
  // All of it for the first time, and then once; each time it goes on in the middle of a put.
  expect(puts.read).toBeLessThan(2 * all + 103 * 2 * PUT_MOST)
  expect(taken.puts).toBe(400)
})

test('before all of it is due the earliest come first, also of what is put there meanwhile', async () => {
  const puts = new Puts()
  puts.put([5, 1, 3])
  puts.put([4, 2])
  const taken = bucket()
  const next = async (): Promise<readonly number[]> =>
    (await taken.pick(puts.from, { most: 2, now: 0 })).map(({ at }) => at)
  expect(await next()).toEqual([1, 2])
  const { version, timers } = puts.put([0, 6])
  expect(taken.wasPut(version, timers)).toBe(true)
  // The first is to be held at once, the other is come upon.
  expect(timers.map((timer) => taken.isLeft(timer))).toEqual([false, true])
  expect(await next()).toEqual([3, 4])
  expect(await next()).toEqual([5, 6])
  expect(taken.left).toBeUndefined()
})

interface Made {
  readonly ats: readonly number[]
  readonly heard: 'at once' | 'later' | 'never'
}

const made: fc.Arbitrary<readonly Made[]> = fc.array(
  fc.record({
    ats: fc.array(fc.nat(10), { minLength: 1, maxLength: 6 }),
    heard: fc.constantFrom('at once', 'at once', 'later', 'never'),
  }),
  { maxLength: 4 },
)
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('put' as const), made }),
    /** Meanwhile more is put there, and it may fail. */
    fc.record({
      kind: fc.constant('pick' as const),
      most: fc.integer({ min: 1, max: 5 }),
      meanwhile: fc.array(made, { maxLength: 3 }),
      failsAt: fc.option(fc.nat(6), { freq: 4 }),
    }),
    fc.record({ kind: fc.constant('clock' as const), ms: fc.integer({ min: -5, max: 10 }) }),
    fc.constantFrom({ kind: 'fired' as const }, { kind: 'let go' as const }),
  ),
  { maxLength: 40 },
)

/** A bucket, and those of its timers that are in memory, or were: as the wheel does it. */
class Holder {
  readonly puts = new Puts()
  readonly bucket = bucket()
  readonly seen = new Set<string>()
  /** Of the puts that were heard of. */
  readonly heard = new Set<string>()
  readonly #heldMax: number
  #held = 0
  #picking = 0
  #now = 0
  #unheard: ReadPut[] = []

  constructor(heldMax: number) {
    this.#heldMax = heldMax
  }

  pass(ms: number): void {
    this.#now += ms
  }

  fired(): void {
    this.#held = 0
  }

  letGo(): void {
    this.bucket.letGo()
    this.bucket.isTaken = true
    this.seen.clear()
    this.#held = 0
  }

  put(all: readonly Made[]): void {
    const heard: ReadPut[] = []
    for (const { ats, heard: when } of all) {
      const put = this.puts.put(ats)
      if (when === 'at once') heard.push(put)
      if (when === 'later') this.#unheard.unshift(put)
    }
    const before = this.#unheard.splice(2)
    for (const each of [...heard, ...before]) this.#hear(each)
  }

  #hear({ version, timers }: ReadPut): void {
    for (const { token } of timers) this.heard.add(token)
    if (!this.bucket.wasPut(version, timers)) return
    const added = timers.filter((timer) => !this.bucket.isLeft(timer))
    if (this.#held + this.#picking + added.length <= this.#heldMax) this.#hold(added)
    else this.bucket.leave(added, this.#now)
  }

  #hold(timers: readonly DueTimer[]): void {
    this.#held += timers.length
    for (const { token } of timers) this.seen.add(token)
  }

  /** Returns whether there was anything to be read. */
  async pick(
    most: number,
    meanwhile: readonly (readonly Made[])[] = [],
    failsAt: number | null = null,
  ): Promise<boolean> {
    if (this.bucket.left === undefined) return false
    if (this.#held + most > this.#heldMax) this.fired()
    const { puts } = this
    const left = [...meanwhile]
    const put = (all: readonly Made[]): void => this.put(all)
    let read = 0
    const from = async function* (version: number): AsyncGenerator<ReadPut> {
      for await (const each of puts.from(version)) {
        yield each
        const next = left.shift()
        if (next !== undefined) put(next)
        if (read === failsAt) throw new Error('it is away')
        read += 1
      }
      // Behind its end, and before that is known.
      put(left.shift() ?? [])
    }
    this.#picking = most
    try {
      this.#hold(await this.bucket.pick(from, { most, now: this.#now }))
    } catch (error) {
      if ((error as Error).message !== 'it is away') throw error
    } finally {
      this.#picking = 0
    }
    return true
  }
}

test('whatever is put there when, and however it is read, each is held until what is closed has no more', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 5, max: 20 }), fc.boolean(), async (plan, heldMax, isNew) => {
      const holder = new Holder(heldMax)
      const { bucket: taken, puts, seen } = holder
      if (isNew) taken.takeEmpty()
      for (const step of plan) {
        if (step.kind === 'put') holder.put(step.made)
        if (step.kind === 'pick') await holder.pick(step.most, step.meanwhile, step.failsAt)
        if (step.kind === 'clock') holder.pass(step.ms)
        if (step.kind === 'fired') holder.fired()
        if (step.kind === 'let go') holder.letGo()
        // None waits until it is closed.
        if (taken.left === undefined) expect([...holder.heard].filter((token) => !seen.has(token))).toEqual([])
      }
      // It is closed with so many puts as are done with; where there are more, they are read first.
      for (;;) {
        while (await holder.pick(3));
        if (taken.puts === puts.puts.length) break
        taken.readOn()
      }
      const all = puts.puts.flatMap(({ timers }) => timers.map(({ token }) => token))
      expect([...seen].toSorted()).toEqual(all.toSorted())
    }),
    { numRuns: 5_000 },
  )
})
