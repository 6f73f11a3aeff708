import { expect, test } from 'vitest'
import { frozen } from '../../src/aggregate/frozen.ts'

test('what is plain is frozen as deeply as it goes, through objects and lists', () => {
  const given = { lines: [{ fruits: ['pear'] }, [{ n: 1 }]], at: { place: { n: 2 } }, none: null, missing: undefined }
  expect(frozen(given)).toBe(given)
  const all: object[] = [given, given.lines, given.lines[0]!, given.lines[1]!, given.at, given.at.place]
  all.push((given.lines[0] as { fruits: string[] }).fruits, (given.lines[1] as object[])[0]!)
  expect(all.map((each) => Object.isFrozen(each))).toEqual(all.map(() => true))
})

test('bytes cannot be frozen, and stay as they are', () => {
  const bytes = new Uint8Array([1])
  expect(frozen({ bytes }).bytes).toBe(bytes)
})
