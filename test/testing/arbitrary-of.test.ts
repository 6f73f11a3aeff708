import { toStandardJsonSchema } from '@valibot/to-json-schema'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type } from 'arktype'
import * as fc from 'fast-check'
import * as v from 'valibot'
import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { validate } from '../../src/aggregate/schema.ts'
import { arbitraryOf } from '../../src/testing/index.ts'

const tree = z.object({
  name: z.string().min(1).max(8),
  get children() {
    return z.array(tree)
  },
})

const SCHEMAS: Readonly<Record<string, StandardSchemaV1>> = {
  'zod, of many kinds': z.object({
    amount: z.number().int().positive(),
    share: z.number().gt(0).lt(1),
    note: z.string().max(5).optional(),
    count: z.number().default(1),
    id: z.uuid(),
    mail: z.email(),
    day: z.iso.date(),
    at: z.iso.datetime(),
    site: z.url(),
    kind: z.enum(['a', 'b']),
    prices: z.record(z.string(), z.number()),
    byKind: z.record(z.enum(['x', 'y']), z.boolean()),
    pair: z.tuple([z.number(), z.string()]),
    owner: z.string().nullable(),
    code: z.string().regex(/^[A-Z]{2}\d{3}$/),
    either: z.discriminatedUnion('k', [
      z.object({ k: z.literal('p'), n: z.number() }),
      z.object({ k: z.literal('q') }),
    ]),
    both: z.object({ one: z.number() }).and(z.object({ two: z.string() })),
    list: z.array(z.int().multipleOf(5)).min(1).max(3),
    even: z.number().refine((n) => n % 2 === 0),
    whatever: z.unknown(),
  }),
  'zod, recursive': tree,
  'zod, alone': z.number().min(3).max(4),
  arktype: type({
    amount: 'number.integer > 0',
    'note?': 'string <= 5',
    kind: "'a' | 'b'",
    id: 'string.uuid',
    prices: { '[string]': 'number' },
    list: 'string[] >= 1',
    mail: 'string.email',
    owner: 'string | null',
    count: 'number = 1',
  }),
  valibot: toStandardJsonSchema(
    v.object({
      amount: v.pipe(v.number(), v.integer(), v.minValue(1)),
      note: v.optional(v.string()),
      kind: v.picklist(['a', 'b']),
      id: v.pipe(v.string(), v.uuid()),
      list: v.pipe(v.array(v.boolean()), v.maxLength(2)),
      owner: v.nullable(v.string()),
    }),
  ),
}

test.each(Object.entries(SCHEMAS))('what is derived from a schema is what it takes: %s', (_name, schema) => {
  const values = fc.sample(arbitraryOf(schema), { numRuns: 200, seed: 1 })
  for (const value of values) expect(validate(schema, value)).toMatchObject({ kind: 'valid' })
  expect(new Set(values.map((value) => JSON.stringify(value))).size).toBeGreaterThan(1)
})

test('optional keys are there and are not, and values have the type of the input', () => {
  const schema = z.object({ a: z.number().optional(), n: z.string().transform(Number) })
  const arbitrary = arbitraryOf(schema)
  expectTypeOf(arbitrary).toEqualTypeOf<fc.Arbitrary<{ n: string; a?: number | undefined }>>()
  const keys = fc.sample(arbitrary, { numRuns: 50, seed: 1 }).map((value) => Object.keys(value).toSorted().join())
  expect(new Set(keys)).toEqual(new Set(['a,n', 'n']))
})

test.each<[string, StandardSchemaV1, string]>([
  ['a type that JSON has not', z.object({ at: z.date() }), 'a schema of zod cannot say what it takes: Date'],
  ['a library without the interface', v.object({ a: v.number() }), 'toStandardJsonSchema of @valibot/to-json-schema'],
  ['a pattern beyond fast-check', z.string().regex(/^(?=a)b/), 'no text can be derived from the pattern ^(?=a)b'],
])('what nothing can be derived from is an error that says so: %s', (_name, schema, problem) => {
  expect(() => arbitraryOf(schema)).toThrow(problem)
})

test('a schema that refuses all that is derived ends in an error, not in an endless search', () => {
  const picky = z.object({ n: z.number().refine((n) => n === 0.123, 'must be 0.123') })
  expect(() => fc.sample(arbitraryOf(picky), 1)).toThrow(/refuses each of 1000 values .* must be 0\.123/)
})
