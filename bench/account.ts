/** The bank account of the README, once with snapshots and once without, and the one that the peers in compare/ run. */
import { defineAggregate } from '../src/index.ts'

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

export const AccountWithoutSnapshots = defineAggregate({
  ...Account,
  type: 'account-without-snapshots',
  snapshotEvery: false,
})

interface Payment {
  readonly amount: number
  readonly reference: string
}
interface Movement extends Payment {
  readonly channel: string
  readonly time: string
}

/** Decides and stores just what compare/bank-account.ts does, so that peers and Penhold do the same work. */
export const PaymentAccount = defineAggregate({
  type: 'payment-account',
  initialState: (): { isOpen: boolean; balance: number } => ({ isOpen: false, balance: 0 }),
  events: {
    AccountOpened: (_state, { amount }: Movement) => ({ isOpen: true, balance: amount }),
    MoneyDeposited: (state, { amount }: Movement) => ({ isOpen: true, balance: state.balance + amount }),
    MoneyWithdrawn: (state, { amount }: Movement) => ({ isOpen: true, balance: state.balance - amount }),
  },
  commands: {
    open: (state, payment: Payment, { emit, reject, now }) =>
      state.isOpen ? reject('already-open') : emit.AccountOpened(movement(payment, now)),
    deposit: (state, payment: Payment, { emit, reject, now }) =>
      state.isOpen ? emit.MoneyDeposited(movement(payment, now)) : reject('not-open'),
    withdraw: (state, payment: Payment, { emit, reject, now }) =>
      state.isOpen && state.balance >= payment.amount
        ? emit.MoneyWithdrawn(movement(payment, now))
        : reject('insufficient-funds'),
  },
})

function movement({ amount, reference }: Payment, now: number): Movement {
  return { amount, reference, channel: 'mobile', time: new Date(now).toISOString() }
}
