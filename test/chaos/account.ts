/**
 * The bank account of the chaos tests. Its state names its own version and holds a digest of all its events, so that
 * whoever is shown one can be held to the place in the log where it was true.
 */
import { defineAggregate } from '../../src/index.ts'
import type { Seen } from '../checker/history.ts'

/** Each event says which command it is of, so that no two are alike. */
export interface Movement {
  readonly amount: number
  readonly by: string
  readonly text: string
}

export interface AccountState extends Required<Seen> {
  readonly balance: number
}

interface Order {
  readonly amount: number
  /** Makes batches of all sizes. */
  readonly text: string
}

export const NEW_ACCOUNT: AccountState = { version: 0, digest: 0, balance: 0 }

/** The state after one more event. */
export function moved({ version, digest, balance }: AccountState, { amount, by }: Movement): AccountState {
  let mixed = Number(digest) ^ amount
  for (let i = 0; i < by.length; i += 1) mixed = Math.imul(mixed ^ by.charCodeAt(i), 0x01000193) >>> 0
  return { version: version + 1, digest: mixed, balance: balance + amount }
}

export const Account = defineAggregate({
  type: 'account',
  // Few, so that most recoveries begin at a snapshot.
  snapshotEvery: 20,
  initialState: (): AccountState => NEW_ACCOUNT,
  events: { Moved: (state, movement: Movement) => moved(state, movement) },
  commands: {
    deposit: (_state, { amount, text }: Order, { emit, commandId }) => emit.Moved({ amount, by: commandId, text }),
    withdraw: (state, { amount, text }: Order, { emit, reject, commandId }) =>
      amount > state.balance
        ? reject('insufficient-funds', state)
        : emit.Moved({ amount: -amount, by: commandId, text }),
    // Two events of one command: they stand in the log both or not at all.
    exchange: (_state, { amount, text }: Order, { emit, commandId }) => [
      emit.Moved({ amount, by: commandId, text }),
      emit.Moved({ amount: -amount, by: commandId, text: '' }),
    ],
    touch: (_state, _order: Order) => undefined,
  },
  queries: { look: (state): AccountState => state },
})

export type AccountCommand = keyof (typeof Account)['commands']

/** How many events each command makes where it is accepted. */
export const EVENTS_OF: Readonly<Record<AccountCommand, number>> = { deposit: 1, withdraw: 1, exchange: 2, touch: 0 }
