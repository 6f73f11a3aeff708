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

const steps = fc.array(
  fc.oneof(
    /** Something is put there; it is heard of then, or not. */
    fc.record({ kind: fc.constant('put' as const), ats: fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }) }),
    fc.record({ kind: fc.constant('unheard' as const), ats: fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }) }),
    fc.record({ kind: fc.constant('pick' as const), most: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(10) }),
    fc.constant({ kind: 'fails' as const }),
  ),
  { maxLength: 40 },
)

test('whatever is put there when, and however it is read, each is picked or held, and what is left when it is closed is none', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(3), async (plan, heldMax) => {
      const puts = new Puts()
      const taken = bucket()
      const held = new Set<string>()
      let now = 0
      const hold = (timers: readonly DueTimer[]): void => timers.forEach(({ token }) => held.add(token))
      const pick = async (most: number): Promise<void> => hold(await taken.pick(puts.from, { most, now }))
      for (const step of plan) {
        if (step.kind === 'wait') now += step.ms
        if (step.kind === 'unheard') puts.put(step.ats)
        if (step.kind === 'pick' && taken.left !== undefined) await pick(step.most)
        if (step.kind === 'fails' && taken.left !== undefined) {
          const failing = async function* (from: number): AsyncGenerator<ReadPut> {
            for await (const put of puts.from(from)) {
              yield put
              throw new Error('it is away')
            }
          }
          await taken.pick(failing, { most: 2, now }).then(hold, () => undefined)
        }
        if (step.kind !== 'put') continue
        const { version, timers } = puts.put(step.ats)
        // As the wheel has it.
        if (!taken.wasPut(version, timers)) continue
        const added = timers.filter((timer) => !taken.isLeft(timer))
        if (added.length <= heldMax) hold(added)
        else taken.leave(added, now)
      }
      // It is closed with so many puts as are done with; where there are more, they are read first.
      for (;;) {
        while (taken.left !== undefined) await pick(3)
        if (taken.puts === puts.puts.length) break
        taken.readOn()
      }
      expect([...held].toSorted()).toEqual(
        puts.puts.flatMap(({ timers }) => timers.map(({ token }) => token)).toSorted(),
      )
    }),
    { numRuns: 2_000 },
  )
})
