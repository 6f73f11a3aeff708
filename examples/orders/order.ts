/** What a customer has ordered. */
import { defineAggregate } from '../../src/index.ts'

export type OrderPhase = 'none' | 'placed' | 'shipped' | 'cancelled'

export const Order = defineAggregate({
  type: 'order',
  initialState: (): OrderPhase => 'none',
  events: {
    OrderPlaced: (_phase, _data: { euros: number; address: string }) => 'placed',
    OrderShipped: (_phase) => 'shipped',
    OrderCancelled: (_phase, _data: { reason: 'not-paid' | 'undeliverable' }) => 'cancelled',
  },
  commands: {
    place: (phase, order: { euros: number; address: string }, { emit, reject }) =>
      phase === 'none' ? emit.OrderPlaced(order) : reject('already-placed'),
    ship: (phase, _none: undefined, { emit, reject }) =>
      phase === 'placed' ? emit.OrderShipped(undefined) : reject('not-open', { phase }),
    cancel: (phase, cause: { reason: 'not-paid' | 'undeliverable' }, { emit, reject }) =>
      phase === 'placed' ? emit.OrderCancelled(cause) : reject('not-open', { phase }),
  },
  queries: { phase: (phase) => phase },
})
