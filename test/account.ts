import { defineAggregate } from '../src/aggregate/aggregate.ts'

/** The bank account of the README, which most tests drive. */
export const Account = defineAggregate({
  type: 'account',
  initialState: (): { opened: boolean; balance: number } => ({ opened: false, balance: 0 }),
  events: {
    AccountOpened: (state, _data: { owner: string }) => ({ ...state, opened: true }),
    MoneyDeposited: (state, { amount }: { amount: number }) => ({ ...state, balance: state.balance + amount }),
    MoneyWithdrawn: (state, { amount }: { amount: number }) => ({ ...state, balance: state.balance - amount }),
  },
  commands: {
    open: (state, { owner }: { owner: string }, { emit }) => (state.opened ? undefined : emit.AccountOpened({ owner })),
    deposit: (_state, { amount }: { amount: number }, { emit }) => emit.MoneyDeposited({ amount }),
    withdraw: (state, { amount }: { amount: number }, { emit, reject }) =>
      amount > state.balance
        ? reject('insufficient-funds', { balance: state.balance })
        : emit.MoneyWithdrawn({ amount }),
  },
  queries: { balance: (state) => state.balance },
})
