/** The workload of the simulation: accounts whose states tell which events they were made of, and in which order. */
import { defineAggregate } from '../../src/index.ts'

export interface View {
  readonly balance: number
  /** Events so far, which is the version. */
  readonly count: number
  readonly hash: number
}

export const NOTHING: View = { balance: 0, count: 0, hash: 0 }

interface Movement {
  readonly amount: number
  /** The command that moved it. */
  readonly by: number
}

function moved({ balance, count, hash }: View, amount: number, by: number): View {
  return { balance: balance + amount, count: count + 1, hash: (Math.imul(hash, 31) + by + 1) | 0 }
}

/** `onDeclined` is told of each withdrawal that is rejected, by whichever owner decides it; a command may be decided twice. */
export function createAccount(snapshotEvery: number | false, onDeclined: (by: number) => void = () => undefined) {
  return defineAggregate({
    type: 'account',
    snapshotEvery,
    initialState: (): View => NOTHING,
    events: {
      Deposited: (state, { amount, by }: Movement) => moved(state, amount, by),
      Withdrawn: (state, { amount, by }: Movement) => moved(state, -amount, by),
      Noted: (state, { by }: { by: number }) => moved(state, 0, by),
    },
    commands: {
      deposit: (_state, movement: Movement, { emit }) => emit.Deposited(movement),
      // Two events of one command: they stand in the log both or not at all.
      transferIn: (_state, movement: Movement, { emit }) => [emit.Deposited(movement), emit.Noted({ by: movement.by })],
      withdraw: (state, movement: Movement, { emit, reject }) => {
        if (movement.amount <= state.balance) return emit.Withdrawn(movement)
        onDeclined(movement.by)
        return reject('insufficient-funds', state)
      },
      look: () => undefined,
    },
    queries: { view: (state) => state },
  })
}

/** The account of a release before, in which nobody could withdraw anything. */
export function createOlderAccount(snapshotEvery: number | false) {
  const { events, commands, ...rest } = createAccount(snapshotEvery)
  const { Deposited, Noted } = events
  const { deposit, transferIn, look } = commands
  return defineAggregate({ ...rest, events: { Deposited, Noted }, commands: { deposit, transferIn, look } })
}

export type Account = ReturnType<typeof createAccount>

export function digestOf({ balance, hash }: View): string {
  return `${balance}/${hash}`
}

/** The view after one more event, as it stands in the log. */
export function after(view: View, type: string, data: unknown): View {
  const { amount = 0, by } = data as Partial<Movement> & { readonly by: number }
  return moved(view, type === 'Withdrawn' ? -amount : amount, by)
}
