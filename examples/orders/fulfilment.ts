/**
 * What becomes of an order: it is paid and then shipped, or it is cancelled and nobody has paid. Its key is the order's id,
 * which payment and shipment have, too.
 *
 *     placed ── request payment ── paid ── book shipment ── dispatched: the order is shipped
 *                     │                        └ refused: refund, cancel the order
 *                     └ not paid in time: withdraw, cancel the order; what is paid for all that is refunded
 */
import { defineProcess, idOf } from '../../src/index.ts'
import { Order } from './order.ts'
import { Payment } from './payment.ts'
import { Shipment } from './shipment.ts'

export interface Fulfilment {
  readonly phase: 'unpaid' | 'paid' | 'cancelled' | 'shipped'
  readonly address: string
}

/** A quarter of an hour; the demo has less time. */
export const PAYMENT_DUE_MS = Number(process.env['PAYMENT_DUE_MS'] ?? 15 * 60_000)

export const Fulfilment = defineProcess({
  type: 'fulfilment',
  from: [Order, Payment, Shipment],
  to: [Order, Payment, Shipment],
  timers: ['payment-due'],
  startAt: 'beginning',
  correlate: {
    OrderPlaced: idOf,
    PaymentReceived: idOf,
    PaymentWithdrawn: idOf,
    PaymentRefunded: idOf,
    ShipmentDispatched: idOf,
  },
  initialState: (): Fulfilment => ({ phase: 'unpaid', address: '' }),
  evolve: {
    OrderPlaced: (state, { data }) => ({ ...state, address: data.address }),
    PaymentReceived: (state) => (state.phase === 'unpaid' ? { ...state, phase: 'paid' } : state),
    'payment-due': (state) => ({ ...state, phase: 'cancelled' }),
    'shipment/book': (state, { kind }) => (kind === 'accepted' ? state : { ...state, phase: 'cancelled' }),
    ShipmentDispatched: (state) => ({ ...state, phase: 'shipped' }),
  },
  on: {
    OrderPlaced(_state, { data: { euros } }, { key, send, schedule }) {
      send(Payment, key, 'request', { euros })
      schedule('payment-due', { inMs: PAYMENT_DUE_MS })
    },
    PaymentReceived({ phase, address }, _event, { key, send, cancel }) {
      // It came while the order was being cancelled.
      if (phase === 'cancelled') return send(Payment, key, 'refund')
      cancel('payment-due')
      return send(Shipment, key, 'book', { address })
    },
    'payment-due'(_state, _timer, { key, send }) {
      send(Payment, key, 'withdraw')
      send(Order, key, 'cancel', { reason: 'not-paid' })
    },
    'shipment/book'({ phase }, _outcome, { key, send }) {
      if (phase !== 'cancelled') return
      send(Payment, key, 'refund')
      send(Order, key, 'cancel', { reason: 'undeliverable' })
    },
    ShipmentDispatched(_state, _event, { key, send, complete }) {
      send(Order, key, 'ship')
      complete()
    },
    PaymentWithdrawn: (_state, _event, { complete }) => complete(),
    PaymentRefunded: (_state, _event, { complete }) => complete(),
  },
})
