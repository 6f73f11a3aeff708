import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { idOf } from '../../src/index.ts'
import { idProblem, streamName, streamProblem, streamType } from '../../src/log/stream.ts'

test('a stream is named by a type and an id, which its name gives back, whatever stands in the id', () => {
  const type = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/)
  const id = fc.oneof(fc.string(), fc.constantFrom('a/b', '/', 'a/', '/a', 'ü/语'))
  fc.assert(
    fc.property(type, id, (aggregate, given) => {
      const stream = streamName(aggregate, given)
      expect([streamType(stream), idOf({ stream })]).toEqual([aggregate, given])
      expect(streamProblem(stream)).toBe(idProblem(given))
    }),
  )
})
