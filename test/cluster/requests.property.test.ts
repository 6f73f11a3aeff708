import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Requests } from '../../src/cluster/requests.ts'

/** Adds, or takes one of those that are there, or asks for one that may not be. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: 'add' } as const) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('take' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unknown' as const), number: fc.nat(2 ** 32 - 1) }) },
)

describe('requests', () => {
  test('are what a Map would hold, whatever the numbers, also where these begin anew', () => {
    const lasts = fc.oneof(fc.constant(0), fc.integer({ min: 2 ** 32 - 100, max: 2 ** 32 - 1 }))
    // Bursts, so that it grows, and is emptied.
    const bursts = fc.array(fc.record({ step, times: fc.constantFrom(1, 1, 1, 3, 700, 2_500) }), { maxLength: 40 })
    fc.assert(
      fc.property(lasts, bursts, (last, all) => {
        const requests = new Requests<object>(last)
        const model = new Map<number, object>()
        for (const { step: each, times } of all) for (let i = 0; i < times; i += 1) run(each, requests, model)
        expect(requests.size).toBe(model.size)
        expect(new Set(requests)).toEqual(new Set(model.values()))
      }),
    )
  })

  test('have numbers in order, from 1 up, and again from 1 when they are used up', () => {
    const requests = new Requests<string>(2 ** 32 - 3)
    expect(['a', 'b', 'c'].map((entry) => requests.add(entry))).toEqual([2 ** 32 - 2, 2 ** 32 - 1, 1])
  })

  test('pass over a number whose slot is taken', () => {
    const requests = new Requests<string>()
    expect(requests.add('stays')).toBe(1)
    for (let i = 2; i <= 1_024; i += 1) requests.take(requests.add('goes'))
    expect(requests.add('next')).toBe(1_026)
    expect(requests.get(1)).toBe('stays')
    expect(requests.get(1_025)).toBeUndefined()
  })
})

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function run(each: Step, requests: Requests<object>, model: Map<number, object>): void {
  switch (each.kind) {
    case 'add': {
      const entry = {}
      const number = requests.add(entry)
      expect(number).toBeGreaterThan(0)
      expect(number).toBeLessThan(2 ** 32)
      expect(model.has(number)).toBe(false)
      model.set(number, entry)
      break
    }
    case 'take': {
      const numbers = [...model.keys()]
      if (numbers.length === 0) break
      const number = numbers[each.which % numbers.length]!
      expect(requests.get(number)).toBe(model.get(number))
      expect(requests.take(number)).toBe(model.get(number))
      expect(requests.take(number)).toBeUndefined()
      model.delete(number)
      break
    }
    case 'unknown':
      expect(requests.get(each.number)).toBe(model.get(each.number))
      break
  }
}
