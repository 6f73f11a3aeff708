import { expect, test } from 'vitest'
import { definitionError, reasonOf, Rejected } from '../../src/aggregate/error.ts'

class OutOfPaper extends Error {
  override readonly name = 'OutOfPaper'
}

test.for([
  ['an operating error', definitionError('shards is no number. Mend it.'), 'shards is no number. Mend it'],
  ['a rejection', new Rejected('closed', undefined), 'rejected: closed'],
  ['an error of others', new OutOfPaper('tray 2 is empty'), 'OutOfPaper: tray 2 is empty'],
  ['a bug', new TypeError('x is not a function'), 'TypeError: x is not a function'],
  ['an error without a message', new OutOfPaper(), 'OutOfPaper'],
  ['a text', 'enough', 'enough'],
  ['nothing', undefined, 'undefined'],
  ['more than anybody reads', 'a'.repeat(5_000), 'a'.repeat(1_000)],
  ['what has no text', Object.create(null), 'something that cannot be shown was thrown'],
] as const)('what is said of %s that was thrown', ([, thrown, said]) => {
  expect(reasonOf(thrown)).toBe(said)
})
