import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BEGINNING } from '../../src/read/all.ts'
import {
  FIRST,
  takeStep,
  withChanged,
  withLive,
  withNew,
  without,
  withPrevious,
  type Control,
} from '../../src/read/control.ts'
import { LaneMoved, type Change, type ParkedEvent, type ReadModel } from '../../src/read/read-model.ts'
import { begin, drop, numbersOf, promote } from './generation-steps.ts'
import { all, type NumberStore } from './number-stores.ts'

/** A store as the contract uses it. */
export interface StoreUnderTest<Model> extends Omit<NumberStore<Model>, 'store'> {
  /** Each has what another process would have of its own. */
  open(projection: string): Promise<ReadModel<Model>>
  cleanUp(): Promise<void>
}

const at = (position: number, shard = 0) => ({ position, shard })

function parkedEvent(stream: string, version: number, reason = ''): ParkedEvent {
  return { stream, version, place: at(version * 10, 3), type: 'Deposited', reason, parkedAt: 1_763_700_000_123 }
}

const named = ({ stream, version }: ParkedEvent) => `${stream} ${version}`

/** What every store of read models must keep. */
export function testReadModelContract<Model>(name: string, create: () => Promise<StoreUnderTest<Model>>): void {
  describe(`${name} keeps the promise of read models`, () => {
    let store: StoreUnderTest<Model>
    let one: ReadModel<Model>
    beforeEach(async () => {
      store = await create()
      one = await store.open('balances')
    })
    afterEach(() => store.cleanUp())

    /** A change that sets a number. */
    const change = (fields: Partial<Change<Model>> & { readonly sets?: readonly [string, number] }): Change<Model> => {
      const { sets, ...rest } = fields
      const apply = (model: Model) => (sets === undefined ? undefined : store.set(model, ...sets))
      return { lane: 'all', from: BEGINNING, to: BEGINNING, park: [], unpark: [], apply, ...rest }
    }
    const valueOf = (number: string, generation = 1, model = one) =>
      model.query(generation, (asked) => store.get(asked, number))
    const parked = async (generation = 1, options: { stream?: string; limit?: number } = {}) =>
      (await one.parked(generation, { limit: 100, ...options })).map(named)

    test('the first generation is there, live and empty', async () => {
      expect(await one.control()).toEqual(FIRST)
      expect(await one.places(1)).toEqual(new Map())
      expect(await one.parkedStreams(1)).toEqual(new Set())
      expect(await parked()).toEqual([])
      expect(await valueOf('a')).toBe(undefined)
    })

    test('a commit changes model, place and what is parked', async () => {
      await one.commit(1, change({ to: at(7, 2), sets: ['a', 1], park: [parkedEvent('account/1', 1)] }))
      expect(await valueOf('a')).toBe(1)
      expect(await one.places(1)).toEqual(new Map([['all', at(7, 2)]]))
      expect(await parked()).toEqual(['account/1 1'])
      await one.commit(1, change({ from: at(7, 2), to: at(9), sets: ['a', 2], unpark: [parkedEvent('account/1', 1)] }))
      expect(await valueOf('a')).toBe(2)
      expect(await one.places(1)).toEqual(new Map([['all', at(9)]]))
      expect(await parked()).toEqual([])
    })

    test('what apply throws leaves nothing of the change, and is passed on as it is', async () => {
      await one.commit(1, change({ to: at(1), sets: ['a', 1], park: [parkedEvent('account/1', 1)] }))
      const error = new Error('the handler')
      const apply = (model: Model) => {
        const done = store.set(model, 'a', 2)
        if (done === undefined) throw error
        return done.then(() => Promise.reject(error))
      }
      const failing = change({
        from: at(1),
        to: at(2),
        apply,
        park: [parkedEvent('account/2', 1)],
        unpark: [parkedEvent('account/1', 1)],
      })
      await expect(one.commit(1, failing)).rejects.toBe(error)
      expect(await valueOf('a')).toBe(1)
      expect(await one.places(1)).toEqual(new Map([['all', at(1)]]))
      expect(await parked()).toEqual(['account/1 1'])
      await one.commit(1, change({ from: at(1), to: at(2), sets: ['a', 3] }))
      expect(await valueOf('a')).toBe(3)
    })

    test('what a handler does with the model once its batch is over changes nothing', async () => {
      const kept: Model[] = []
      const keeping = (model: Model): void => void kept.push(model)
      await one.commit(1, change({ to: at(1), sets: ['a', 1] }))
      await one.commit(1, change({ from: at(1), to: at(2), apply: keeping }))
      const failing = (model: Model): void => {
        keeping(model)
        throw new Error('the handler')
      }
      await expect(one.commit(1, change({ from: at(2), to: at(3), apply: failing }))).rejects.toThrow('the handler')
      for (const model of kept) {
        const late = async (): Promise<void> => await store.set(model, 'a', 2)
        await expect(late()).rejects.toThrow(/over|readonly/)
      }
      expect(await valueOf('a')).toBe(1)
      await one.commit(1, change({ from: at(2), to: at(3), sets: ['a', 3] }))
      expect(await valueOf('a')).toBe(3)
    })

    test('a lane that stands elsewhere is not moved, and nothing is changed', async () => {
      await one.commit(1, change({ to: at(5, 1), sets: ['a', 1] }))
      const other = await store.open('balances')
      for (const from of [BEGINNING, at(5), at(4, 1), at(6, 1)]) {
        const late = change({ from, to: at(9), sets: ['a', 2], park: [parkedEvent('account/1', 1)] })
        await expect(one.commit(1, late)).rejects.toMatchObject({ name: 'LaneMoved' })
        await expect(other.commit(1, late)).rejects.toMatchObject({ name: 'LaneMoved' })
      }
      await expect(one.commit(1, change({ lane: 'new', from: at(1), to: at(2) }))).rejects.toThrow('new')
      expect(await valueOf('a')).toBe(1)
      expect(await other.places(1)).toEqual(new Map([['all', at(5, 1)]]))
      expect(await parked()).toEqual([])
    })

    test('of two that run the same lane at once, one comes to each place', async () => {
      const other = await store.open('balances')
      const run = async (model: ReadModel<Model>) => {
        let won = 0
        for (let position = 0; position < 10; position += 1) {
          const result = await model.commit(1, change({ from: at(position), to: at(position + 1) })).then(
            () => 1,
            (error: unknown) => {
              expect(error).toMatchObject({ name: 'LaneMoved' })
              return 0
            },
          )
          won += result
        }
        return won
      }
      const won = await Promise.all([run(one), run(other)])
      expect(won[0] + won[1]).toBe((await one.places(1)).get('all')!.position)
    })

    test('lanes are independent, and may be under way at once', async () => {
      const lanes = ['all', '1', '2', '3']
      for (let position = 0; position < 3; position += 1) {
        const commits = lanes.map((lane) =>
          one.commit(1, change({ lane, from: at(position), to: at(position + 1), sets: [lane, position] })),
        )
        await Promise.all(commits)
      }
      expect(await one.places(1)).toEqual(new Map(lanes.map((lane) => [lane, at(3)])))
      for (const lane of lanes) expect(await valueOf(lane)).toBe(2)
    })

    test('the greatest places are kept exactly', async () => {
      const to = at(Number.MAX_SAFE_INTEGER, 4095)
      await one.commit(1, change({ to }))
      expect((await one.places(1)).get('all')).toEqual(to)
      await one.commit(1, change({ from: to, to, sets: ['a', 1] }))
    })

    test('generations stand beside each other, are swapped and swapped back', async () => {
      await one.commit(1, change({ to: at(5), sets: ['a', 1], park: [parkedEvent('account/1', 1)] }))
      expect(await begin(one)).toBe(2)
      expect(await numbersOf(one)).toEqual({ live: 1, all: [1, 2] })
      expect(await one.places(2)).toEqual(new Map())
      expect(await valueOf('a', 2)).toBe(undefined)
      expect(await parked(2)).toEqual([])
      await one.commit(2, change({ to: at(3), sets: ['a', 2], park: [parkedEvent('account/2', 1)] }))
      expect([await valueOf('a', 1), await valueOf('a', 2)]).toEqual([1, 2])
      expect([await parked(1), await parked(2)]).toEqual([['account/1 1'], ['account/2 1']])
      await takeStep(one, (control) => withChanged(control, 2, { state: 'accepted' }))
      await promote(one, 2)
      expect(await numbersOf(one)).toEqual({ live: 2, all: [1, 2] })
      const other = await store.open('balances')
      expect((await numbersOf(other)).live).toBe(2)
      await promote(other, 1)
      expect(await numbersOf(one)).toEqual({ live: 1, all: [1, 2] })
      expect([await valueOf('a', 1), await valueOf('a', 2)]).toEqual([1, 2])
      expect(await one.places(1)).toEqual(new Map([['all', at(5)]]))
    })

    test('a generation that was dropped is gone, and its number is not used again', async () => {
      const second = await begin(one)
      await one.commit(second, change({ to: at(3), sets: ['a', 2], park: [parkedEvent('account/2', 1)] }))
      const other = await store.open('balances')
      await other.commit(second, change({ from: at(3), to: at(4), sets: ['a', 3] }))
      await drop(one, second)
      expect(await numbersOf(one)).toEqual({ live: 1, all: [1] })
      for (const model of [one, other]) {
        for (const ask of [
          () => model.commit(second, change({ from: at(4), to: at(5), sets: ['a', 4] })),
          () => model.commit(second, change({ to: at(1) })),
          () => model.query(second, () => 1),
          () => model.places(second),
          () => model.parked(second, { limit: 1 }),
          () => model.parkedStreams(second),
        ]) {
          await expect(ask(), String(ask)).rejects.toMatchObject({ code: 'NoSuchGeneration' })
        }
      }
      expect(await begin(other)).toBe(3)
      expect(await valueOf('a', 3)).toBe(undefined)
      expect(await numbersOf(one)).toEqual({ live: 1, all: [1, 3] })
    })

    test('the record is kept as it is, for all who open it, until it is another one', async () => {
      const other = await store.open('balances')
      const beside = await store.open('beside')
      const paused = await takeStep(one, (control) => ({ ...control, isPaused: true }))
      expect(paused).toEqual({ ...FIRST, revision: 2, isPaused: true })
      expect(await other.control()).toEqual(paused)
      expect(await beside.control()).toEqual(FIRST)
      await begin(other)
      await takeStep(one, (control) => withChanged(control, 1, { order: 'shard' }))
      await promote(one, 2)
      await takeStep(other, (control) => withPrevious(control, 1))
      const expected: Control = {
        revision: 6,
        live: 1,
        last: 2,
        isPaused: true,
        generations: [
          { number: 1, state: 'kept', order: 'shard' },
          { number: 2, state: 'aside', order: 'all' },
        ],
      }
      expect(await one.control()).toEqual(expected)
      expect(await (await store.open('balances')).control()).toEqual(expected)
    })

    test('a record that somebody else has changed is not replaced, and nothing is made or removed', async () => {
      const other = await store.open('balances')
      const [from, stale] = [await one.control(), await other.control()]
      const to = { ...withNew(from, { state: 'under way' as const }), revision: from.revision + 1 }
      expect(await one.replaceControl(from, to)).toBe(true)
      await one.commit(2, change({ to: at(3), sets: ['a', 2] }))
      // The same step again, as an answer may be lost, and another one.
      expect(await other.replaceControl(stale, to)).toBe(false)
      expect(await one.replaceControl(from, { ...from, revision: from.revision + 1, isPaused: true })).toBe(false)
      expect(await one.control()).toEqual(to)
      expect(await one.places(2)).toEqual(new Map([['all', at(3)]]))
      const third = { ...withNew(to, { state: 'trial' as const }), revision: to.revision + 1 }
      const dropped = { ...without(to, ({ number }) => number === 2), revision: to.revision + 1 }
      const both = await Promise.all([one.replaceControl(to, third), other.replaceControl(to, dropped)])
      expect(both.toSorted()).toEqual([false, true])
      expect(await one.control()).toEqual(both[0] ? third : dropped)
    })

    test('a rebuilt generation does not take the place of the live one while it has parked events, unless somebody has accepted that', async () => {
      await takeStep(one, (control) => withNew(control, { state: 'under way' }))
      await one.commit(2, change({ to: at(3), park: [parkedEvent('account/1', 1)] }))
      const before = await one.control()
      expect(await takeStep(one, (control) => withLive(control, 2))).toEqual(before)
      expect(await one.control()).toEqual(before)
      const accepted = await takeStep(one, (control) => withChanged(control, 2, { state: 'accepted' }))
      expect(accepted.revision).toBe(before.revision + 1)
      expect(await takeStep(one, (control) => withLive(control, 2))).toMatchObject({ live: 2 })
      await takeStep(one, (control) => withNew(control, { state: 'under way' }))
      expect(await takeStep(one, (control) => withLive(control, 3))).toMatchObject({ live: 3 })
    })

    test('steps that are taken at once are all taken', async () => {
      const other = await store.open('balances')
      const begun = await Promise.all([begin(one), begin(other), begin(one), begin(other)])
      expect(begun.toSorted()).toEqual([2, 3, 4, 5])
      expect((await numbersOf(one)).all).toEqual([1, 2, 3, 4, 5])
      for (const generation of begun) expect(await one.places(generation)).toEqual(new Map())
    })

    test('a query cannot change anything', async () => {
      await one.commit(1, change({ sets: ['a', 1] }))
      const result = await one
        .query(1, (model) => {
          const done = store.set(model, 'a', 2)
          return done === undefined ? 'undone' : done.then(() => 'undone')
        })
        .catch(() => 'refused')
      expect(['undone', 'refused']).toContain(result)
      expect(await valueOf('a')).toBe(1)
      await one.commit(1, change({ sets: ['a', 3] }))
      expect(await valueOf('a')).toBe(3)
    })

    test('what a query throws is passed on', async () => {
      const error = new Error('the query')
      const ask = () => {
        throw error
      }
      await expect(one.query(1, ask)).rejects.toBe(error)
      expect(await one.query(1, () => 5)).toBe(5)
    })

    test('parked events come by stream and version, of one stream and as many as wanted, as they were', async () => {
      const streams = ['account/2', 'account/10', 'account/1']
      const events = streams.flatMap((stream) => [10, 9, 11].map((version) => parkedEvent(stream, version)))
      const odd = parkedEvent('account/ü "x\' | %', 1, 'a reason "with\'s\n\u{1f600} and \0 too')
      await one.commit(1, change({ park: [...events, odd] }))
      const ordered = ['account/1', 'account/10', 'account/2'].flatMap((stream) =>
        [9, 10, 11].map((version) => `${stream} ${version}`),
      )
      expect(await parked()).toEqual([...ordered, named(odd)])
      expect(await parked(1, { limit: 4 })).toEqual(ordered.slice(0, 4))
      expect(await parked(1, { stream: 'account/1' })).toEqual(ordered.slice(0, 3))
      expect(await parked(1, { stream: 'account/1', limit: 2 })).toEqual(ordered.slice(0, 2))
      expect(await parked(1, { stream: 'account' })).toEqual([])
      expect(await one.parkedStreams(1)).toEqual(new Set([...streams, odd.stream]))
      const [kept] = await one.parked(1, { stream: odd.stream, limit: 1 })
      expect(kept!.reason.replace('\u{fffd}', '\0')).toBe(odd.reason)
      expect({ ...kept!, reason: '' }).toEqual({ ...odd, reason: '' })
    })

    test('what is parked already keeps its reason, but for what the same change unparks', async () => {
      const first = parkedEvent('account/1', 1, 'first')
      await one.commit(1, change({ park: [first] }))
      await one.commit(1, change({ park: [parkedEvent('account/1', 1, 'second'), parkedEvent('account/1', 2)] }))
      expect(await one.parked(1, { limit: 1 })).toEqual([first])
      expect(await parked()).toEqual(['account/1 1', 'account/1 2'])
      const third = parkedEvent('account/1', 1, 'third')
      await one.commit(1, change({ park: [third], unpark: [first] }))
      expect(await one.parked(1, { limit: 1 })).toEqual([third])
    })

    test('what is unparked is gone, alone; where it is not parked any more nothing is changed', async () => {
      const events = [1, 2, 3].map((version) => parkedEvent('account/1', version))
      await one.commit(1, change({ park: [...events, parkedEvent('account/2', 2)] }))
      await one.commit(1, change({ unpark: [events[1]!] }))
      for (const missing of [events[1]!, parkedEvent('account/3', 1)]) {
        const late = change({
          to: at(5),
          sets: ['a', 7],
          unpark: [events[0]!, missing],
          park: [parkedEvent('account/9', 1)],
        })
        await expect(one.commit(1, late)).rejects.toThrow(LaneMoved)
      }
      expect(await valueOf('a')).toBeUndefined()
      expect(await one.places(1)).not.toEqual(new Map([['all', at(5)]]))
      expect(await parked()).toEqual(['account/1 1', 'account/1 3', 'account/2 2'])
      await one.commit(1, change({ unpark: [events[0]!, events[2]!] }))
      expect(await one.parkedStreams(1)).toEqual(new Set(['account/2']))
    })

    test('a change may be large', async () => {
      const events = Array.from({ length: 3000 }, (_, version) => parkedEvent('account/1', version))
      const names = Array.from({ length: 3000 }, (_, i) => `n${i}`)
      const apply = (model: Model) => all(names.map((number, i) => store.set(model, number, i)))
      await one.commit(1, change({ to: at(1), park: events, apply }))
      expect(await valueOf('n2999')).toBe(2999)
      expect(await one.parked(1, { limit: 5000 })).toEqual(events)
      await one.commit(1, change({ from: at(1), to: at(2), unpark: events }))
      expect(await parked()).toEqual([])
    })

    test('two projections do not touch each other', async () => {
      const names = ['balances', 'balances-2', 'balances_2', 'b', '2', 'x'.repeat(64), 'x'.repeat(63)]
      const models = await Promise.all(names.map((projection) => store.open(projection)))
      for (const [i, model] of models.entries()) {
        await model.commit(1, change({ to: at(i + 1), sets: ['a', i], park: [parkedEvent(`account/${i}`, 1)] }))
      }
      await promote(models[1]!, await begin(models[1]!))
      await drop(models[1]!, 1)
      for (const [i, model] of models.entries()) {
        if (i === 1) continue
        expect(await numbersOf(model)).toEqual({ live: 1, all: [1] })
        expect(await valueOf('a', 1, model)).toBe(i)
        expect(await model.places(1)).toEqual(new Map([['all', at(i + 1)]]))
        expect(await model.parkedStreams(1)).toEqual(new Set([`account/${i}`]))
      }
    })

    test.each([
      '',
      'x'.repeat(65),
      'a b',
      '../x',
      '.',
      'a/b',
      'a"b',
      "a'b",
      'a{b}',
      'a:b',
      'ä',
      'a\0',
      'a\n',
      5,
      undefined,
    ])('a projection cannot be named %j', async (projection) => {
      await expect(store.open(projection as string)).rejects.toMatchObject({ code: 'BadDefinition' })
    })

    test('what was closed is there when it is opened again', async () => {
      await one.commit(1, change({ to: at(5), sets: ['a', 1], park: [parkedEvent('account/1', 1)] }))
      const second = await begin(one)
      await one.commit(second, change({ to: at(6), sets: ['a', 2] }))
      await promote(one, second)
      await one.close()
      const again = await store.open('balances')
      expect(await numbersOf(again)).toEqual({ live: 2, all: [1, 2] })
      expect([await valueOf('a', 1, again), await valueOf('a', 2, again)]).toEqual([1, 2])
      expect(await again.places(1)).toEqual(new Map([['all', at(5)]]))
      expect(await again.parkedStreams(1)).toEqual(new Set(['account/1']))
    })
  })
}
