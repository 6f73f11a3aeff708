/** What is to be paid for an order, and whether it was. It has the id of the order. */
import { defineAggregate } from '../../src/index.ts'

export type PaymentPhase = 'none' | 'requested' | 'received' | 'withdrawn' | 'refunded'

export const Payment = defineAggregate({
  type: 'payment',
  initialState: (): PaymentPhase => 'none',
  events: {
    PaymentRequested: (_phase, _data: { euros: number }) => 'requested',
    PaymentReceived: (_phase) => 'received',
    PaymentWithdrawn: (_phase) => 'withdrawn',
    PaymentRefunded: (_phase) => 'refunded',
  },
  commands: {
    request: (phase, request: { euros: number }, { emit, reject }) =>
      phase === 'none' ? emit.PaymentRequested(request) : reject('already-requested'),
    /** By the customer. */
    pay: (phase, _none: undefined, { emit, reject }) =>
      phase === 'requested' ? emit.PaymentReceived(undefined) : reject('not-to-be-paid', { phase }),
    withdraw: (phase, _none: undefined, { emit, reject }) =>
      phase === 'requested' ? emit.PaymentWithdrawn(undefined) : reject('not-to-be-paid', { phase }),
    refund: (phase, _none: undefined, { emit, reject }) =>
      phase === 'received' ? emit.PaymentRefunded(undefined) : reject('not-paid', { phase }),
  },
  queries: { phase: (phase) => phase },
})
