/** What the messages of a simulated inbox are for. */
import { defineAggregate } from '../../../src/index.ts'

/** `onDeclined` is told of each payment that is rejected, by whichever owner decides it; one may be decided more than once. */
export function createTill(onDeclined: (n: number) => void) {
  return defineAggregate({
    type: 'till',
    initialState: () => ({ isClosed: false }),
    events: {
      Paid: (state, _event: { n: number }) => state,
      Closed: () => ({ isClosed: true }),
      Opened: () => ({ isClosed: false }),
    },
    commands: {
      pay: ({ isClosed }, { n }: { n: number }, { emit, reject }) => {
        if (!isClosed) return emit.Paid({ n })
        onDeclined(n)
        return reject('closed')
      },
      close: (_state, _payload: undefined, { emit }) => emit.Closed(),
      open: ({ isClosed }, _payload: undefined, { emit }) => (isClosed ? emit.Opened() : undefined),
    },
  })
}

export type Till = ReturnType<typeof createTill>
