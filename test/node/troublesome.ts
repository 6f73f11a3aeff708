import { z } from 'zod'
import { defineAggregate } from '../../src/index.ts'

async function rejectLater(): Promise<void> {
  await Promise.resolve()
  throwNow()
}

function hangNow(): void {
  for (;;);
}

function throwNow(): void {
  throw new Error('floating work cannot')
}

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
    float: (_state, { what }: { what: 'rejection' | 'exception' | 'hang' }) => {
      if (what === 'rejection') void rejectLater()
      else if (what === 'hang') setTimeout(hangNow, 1)
      else setTimeout(throwNow, 1)
    },
    promise: (() => Promise.resolve()) as unknown as () => undefined,
    forget: (_state, { what }: { what: 'event' | 'one' | 'rejection' | 'nothing' }, { emit, reject }) => {
      const added = emit.Added({ count: 1 })
      if (what === 'one') return [added, emit.Added({ count: 2 })].slice(0, 1)
      if (what === 'rejection') reject('unheard')
      if (what !== 'event') return added
    },
    // What was made on the way to a rejection is meant to be dropped.
    thinkBetter: (_state, _payload: undefined, { emit, reject }) => {
      const added = emit.Added({ count: 1 })
      return added.data.count > 0 ? reject('better-not') : added
    },
    strangeEvent: (() => ({ type: 'Stranger', data: 1 })) as unknown as () => undefined,
    unstorable: (_state, _payload: undefined, { emit }) => emit.Blob({ text: new Date() as unknown as string }),
  },
  queries: {
    stop: () => queueMicrotask(() => process.exit(4)),
    notPlain: () => () => 1,
    sentence: () => {
      throw new Error('it ends in a stop.')
    },
    items: (state) => state.items,
    broken: () => {
      throw new Error('query cannot')
    },
  },
})
