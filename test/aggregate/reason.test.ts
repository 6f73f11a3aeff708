import { expect, test } from 'vitest'
import { definitionError, reasonOf } from '../../src/aggregate/error.ts'

class OutOfPaper extends Error {
  override readonly name = 'OutOfPaper'
}

test.for([
  ['an operating error', definitionError('shards is no number. Mend it.'), 'shards is no number. Mend it'],
  ['an error of a class of its own', new OutOfPaper('tray 2 is empty'), 'tray 2 is empty'],
  ['a bug', new TypeError('x is not a function'), 'TypeError: x is not a function'],
  ['an error of no class', new Error('no room'), 'Error: no room'],
  ['an error without a message', new OutOfPaper(), 'OutOfPaper'],
  ['a text', 'enough', 'enough'],
  ['nothing', undefined, 'undefined'],
  ['more than anybody reads', 'a'.repeat(5_000), 'a'.repeat(1_000)],
  ['what has no text', Object.create(null), 'something that cannot be shown was thrown'],
] as const)('what is said of %s that was thrown', ([, thrown, said]) => {
  expect(reasonOf(thrown)).toBe(said)
})
