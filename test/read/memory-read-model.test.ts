import { describe, expect, test } from 'vitest'
import { BEGINNING } from '../../src/read/all.ts'
import { memoryStore, type MemoryModel } from '../../src/read/memory-read-model.ts'
import type { ReadModel } from '../../src/read/read-model.ts'
import { testReadModelContract } from './read-model-contract.ts'

const numbers = () => ({ numbers: new Map<string, number>() })

testReadModelContract('a store in memory', async () => {
  const store = memoryStore(numbers)
  return {
    open: (projection) => store.open(projection),
    set: ({ numbers: model }, name, value) => void model.set(name, value),
    get: ({ numbers: model }, name) => model.get(name),
    cleanUp: async () => undefined,
  }
})

describe('a model in memory', () => {
  type Letters = { letters: Map<string, { count: number }> }
  const letters = (): Letters => ({
    letters: new Map([
      ['a', { count: 1 }],
      ['b', { count: 2 }],
      ['c', { count: 3 }],
    ]),
  })
  const change = { lane: 'all', from: BEGINNING, to: BEGINNING, park: [], unpark: [] }
  const contentsOf = (model: ReadModel<MemoryModel<Letters>>) =>
    model.query(1, ({ letters: map }) => [...map].map(([key, { count }]) => `${key}${count}`).join(' '))

  test('is read with the changes of the batch, and queries see it without them', async () => {
    const model = await memoryStore(letters).open('letters')
    const { promise, resolve } = Promise.withResolvers<void>()
    const commit = model.commit(1, {
      ...change,
      async apply({ letters: map }) {
        map.set('b', { count: 20 }).set('d', { count: 4 })
        expect([map.delete('a'), map.delete('a'), map.delete('e')]).toEqual([true, false, false])
        map.set('f', { count: 6 })
        expect(map.delete('f')).toBe(true)
        expect([map.size, map.has('a'), map.get('a'), map.get('b')!.count]).toEqual([3, false, undefined, 20])
        expect([...map.keys()]).toEqual(['b', 'c', 'd'])
        expect([...map.values()].map(({ count }) => count)).toEqual([20, 3, 4])
        const seen: string[] = []
        map.forEach(({ count }, key) => seen.push(`${key}${count}`))
        expect(seen).toEqual(['b20', 'c3', 'd4'])
        await promise
      },
    })
    expect(await contentsOf(model)).toBe('a1 b2 c3')
    resolve()
    await commit
    expect(await contentsOf(model)).toBe('b20 c3 d4')
  })

  test('has values that are not changed in place, by handlers or by queries', async () => {
    const model = await memoryStore(letters).open('letters')
    const apply = ({ letters: map }: MemoryModel<Letters>) => {
      map.get('a')!.count += 1
    }
    await expect(model.commit(1, { ...change, apply })).rejects.toThrow(TypeError)
    await expect(model.query(1, apply)).rejects.toThrow(TypeError)
    const set = ({ letters: map }: MemoryModel<Letters>) => void map.set('a', { count: 5 })
    await expect(model.query(1, set)).rejects.toThrow('a query changes nothing')
    expect(await contentsOf(model)).toBe('a1 b2 c3')
    await model.commit(1, { ...change, apply: set })
    await expect(model.commit(1, { ...change, apply })).rejects.toThrow(TypeError)
    expect(await contentsOf(model)).toBe('a5 b2 c3')
  })

  test('is not changed by a handler that goes on when its batch is over', async () => {
    const model = await memoryStore(letters).open('letters')
    let kept: MemoryModel<Letters> | undefined
    await model.commit(1, { ...change, apply: (given) => void (kept = given) })
    expect(() => kept!.letters.set('x', { count: 1 })).toThrow('batch is over')
    expect(await contentsOf(model)).toBe('a1 b2 c3')
  })

  test('consists of Maps', async () => {
    const store = memoryStore(() => ({ total: 0 }) as never)
    await expect(store.open('total')).rejects.toMatchObject({ code: 'BadDefinition' })
  })
})
