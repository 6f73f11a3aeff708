import { type } from 'arktype'
import * as v from 'valibot'
import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { defineAggregate, type PayloadOf } from '../../src/aggregate/aggregate.ts'
import { validate } from '../../src/aggregate/schema.ts'

const schemas = {
  zod: z.object({ by: z.number().int() }),
  valibot: v.object({ by: v.pipe(v.number(), v.integer()) }),
  arktype: type({ by: 'number.integer' }),
}

test('zod, valibot and arktype give payloads their types', () => {
  const Counter = defineAggregate({
    type: 'counter',
    initialState: () => 0,
    schemas: { withZod: schemas.zod, withValibot: schemas.valibot, withArktype: schemas.arktype },
    events: { Added: (state, { by }: { by: number }) => state + by },
    commands: {
      withZod: (_state, { by }, { emit }) => emit.Added({ by }),
      withValibot: (_state, { by }, { emit }) => emit.Added({ by }),
      withArktype: (_state, { by }, { emit }) => emit.Added({ by }),
    },
  })
  type C = typeof Counter
  expectTypeOf<PayloadOf<C, 'withZod'>>().toEqualTypeOf<{ by: number }>()
  expectTypeOf<PayloadOf<C, 'withValibot'>>().toEqualTypeOf<{ by: number }>()
  expectTypeOf<PayloadOf<C, 'withArktype'>>().toEqualTypeOf<{ by: number }>()
})

test.each(Object.entries(schemas))('%s checks at run time, and says where it hurts', (_name, schema) => {
  expect(validate(schema, { by: 3 })).toEqual({ kind: 'valid', value: { by: 3 } })
  expect(validate(schema, { by: 'x' })).toMatchObject({
    kind: 'invalid',
    problem: expect.stringContaining('by') as string,
  })
})

test('an asynchronous schema is refused', () => {
  const asynchronous = z.number().refine(async (n) => n > 0)
  expect(validate(asynchronous, 3)).toMatchObject({
    kind: 'invalid',
    problem: expect.stringContaining('asynchronous') as string,
  })
})
