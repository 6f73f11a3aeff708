import { z } from 'zod'
import { defineAggregate } from '../../src/index.ts'

/** An aggregate whose handlers do everything that handlers should not. */
export const Troublesome = defineAggregate({
  type: 'troublesome',
  initialState: () => ({ items: 0 }),
  schemas: { add: z.object({ count: z.number().int().positive() }), Added: z.object({ count: z.number().max(1000) }) },
  events: {
    Added: (state, { count }) => ({ items: state.items + count }),
    Poisoned: (state, { how }: { how: 'throw' | 'never' }) => {
      if (how === 'throw') throw new Error('evolve cannot')
      return state
    },
    Blob: (state, _data: { text: string }) => state,
  },
  commands: {
    add: (_state, { count }, { emit }) => emit.Added({ count }),
    addMany: (_state, { times }: { times: number }, { emit }) =>
      Array.from({ length: times }, () => emit.Added({ count: 1 })),
    fail: () => {
      throw new Error('decide cannot')
    },
    failInHalfACharacter: () => {
      throw new Error('half of it: \ud83d')
    },
    poison: (_state, { how }: { how: 'throw' | 'never' }, { emit }) => emit.Poisoned({ how }),
    blob: (_state, { bytes }: { bytes: number }, { emit }) => emit.Blob({ text: 'x'.repeat(bytes) }),
    hang: () => {
      for (;;);
    },
    exit: () => process.exit(3),
    promise: (async () => undefined) as unknown as () => undefined,
    strangeEvent: (() => ({ type: 'Stranger', data: 1 })) as unknown as () => undefined,
    unstorable: (_state, _payload: undefined, { emit }) => emit.Blob({ text: new Date() as unknown as string }),
  },
  queries: {
    items: (state) => state.items,
    broken: () => {
      throw new Error('query cannot')
    },
  },
})
