import { expect, test } from 'vitest'
import { Fulfilment, PAYMENT_DUE_MS } from '../../examples/orders/fulfilment.ts'
import { Order } from '../../examples/orders/order.ts'
import { Payment } from '../../examples/orders/payment.ts'
import { Shipment } from '../../examples/orders/shipment.ts'
import { defineProcess } from '../../src/index.ts'
import { accepted, command, eventsOf, fired, givenProcess, refused, rejected, told } from '../../src/testing/index.ts'

const { OrderPlaced } = eventsOf(Order)
const { PaymentReceived, PaymentRefunded, PaymentRequested, PaymentWithdrawn } = eventsOf(Payment)
const { ShipmentDispatched } = eventsOf(Shipment)

const placed = told('order/1', OrderPlaced({ euros: 5, address: 'Delft' }))
const paid = told('payment/1', PaymentReceived())

/** What a failed test prints. */
function messageOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  return 'nothing was thrown'
}

test('the fulfilment of an order, step by step', () => {
  givenProcess(Fulfilment)
    .when(placed)
    .then({
      sends: [command(Payment, '1', 'request', { euros: 5 })],
      schedules: { 'payment-due': { inMs: PAYMENT_DUE_MS } },
    })
    .thenState({ phase: 'unpaid', address: 'Delft' })
  givenProcess(Fulfilment, [placed])
    .when(paid)
    .then({ sends: [command(Shipment, '1', 'book', { address: 'Delft' })], cancels: ['payment-due'] })
  givenProcess(Fulfilment, [placed, paid])
    .when(accepted(Shipment, '1', 'book'))
    .thenNothing()
    .thenState(({ phase }) => phase === 'paid')
  givenProcess(Fulfilment, [placed, paid])
    .when(told('shipment/1', ShipmentDispatched()))
    .then({ sends: [command(Order, '1', 'ship')], completes: true })
})

test('an order that cannot be delivered, or is not paid in time', () => {
  const back = { sends: [command(Payment, '1', 'refund'), command(Order, '1', 'cancel', { reason: 'undeliverable' })] }
  givenProcess(Fulfilment, [placed, paid])
    .when(refused(Shipment, '1', 'book', rejected('undeliverable', { address: 'Delft' })))
    .then(back)
    .thenState({ phase: 'cancelled', address: 'Delft' })
  givenProcess(Fulfilment, [placed, paid])
    .when(refused(Shipment, '1', 'book', 'HandlerFailed'))
    .then(back)
  givenProcess(Fulfilment, [placed])
    .when(fired('payment-due'))
    .then({ sends: [command(Payment, '1', 'withdraw'), command(Order, '1', 'cancel', { reason: 'not-paid' })] })
  givenProcess(Fulfilment, [placed, fired('payment-due')])
    .when(paid)
    .then({ sends: [command(Payment, '1', 'refund')] })
  givenProcess(Fulfilment, [placed, fired('payment-due')])
    .when(told('payment/1', PaymentWithdrawn()))
    .then({ completes: true })
  givenProcess(Fulfilment, [placed, fired('payment-due'), paid, told('payment/1', PaymentRefunded())])
    .when(placed)
    .thenNothing()
})

test('what differs is shown, under what was given', () => {
  const message = messageOf(() =>
    givenProcess(Fulfilment, [placed])
      .when(paid)
      .then({ sends: [command(Shipment, '1', 'book', { address: 'Gouda' })], completes: true }),
  )
  expect(message).toContain(`given fulfilment`)
  expect(message).toContain(`told order/1 OrderPlaced { euros: 5, address: 'Delft' }`)
  expect(message).toContain(`- sends shipment/1 book { address: 'Gouda' }`)
  expect(message).toContain(`+ sends shipment/1 book { address: 'Delft' }`)
  expect(message).toContain(`+ cancels payment-due`)
  expect(message).toContain(`- completes`)
  expect(messageOf(() => givenProcess(Fulfilment).when(placed).thenNothing())).toContain(
    '+ schedules payment-due at 2026-01-01T00:15:00.000Z',
  )
  expect(messageOf(() => givenProcess(Fulfilment).when(placed).thenState({ phase: 'paid', address: '' }))).toContain(
    'Delft',
  )
  expect(
    messageOf(() =>
      givenProcess(Fulfilment)
        .when(placed)
        .thenState(({ phase }) => phase === 'paid'),
    ),
  ).toContain('phase')
})

test('what cannot happen is said', () => {
  const given = (...history: Parameters<typeof givenProcess>[1] & object) =>
    messageOf(() => givenProcess(Fulfilment, history))
  expect(given(fired('payment-due'))).toContain(`the timer 'payment-due' is not pending`)
  expect(given(accepted(Shipment, '1', 'book'))).toContain(`it has not sent 'book' to shipment/1`)
  expect(given(told('payment/1', PaymentRequested({ euros: 5 })))).toContain(`is not told 'PaymentRequested'`)
  expect(given(told('bank/1', PaymentReceived()))).toContain(`is not told 'PaymentReceived' of bank/1`)
  expect(given(placed, told('payment/2', PaymentReceived()))).toContain(
    `belongs to fulfilment/2, and not to fulfilment/1`,
  )
  expect(() => {
    void (givenProcess(Fulfilment).when(placed).then as (resolve: unknown) => unknown)(() => undefined)
  }).toThrow('waits for nothing')
})

test('handlers that fail, or are not pure, fail the test', () => {
  const create = (on: () => unknown) =>
    defineProcess({
      type: 'p',
      from: [Order],
      to: [Payment],
      startAt: 'now',
      correlate: { OrderPlaced: () => 'k' },
      initialState: () => 0,
      on: { OrderPlaced: (_state, _event, { send }) => void send(Payment, String(on()), 'withdraw') },
    })
  givenProcess(create(() => ''))
    .when(placed)
    .thenFails(`an aggregate's id is empty`)
  expect(
    messageOf(() =>
      givenProcess(create(() => 'a'))
        .when(placed)
        .thenFails('empty'),
    ),
  ).toContain('+ sends payment/a')
  expect(
    messageOf(() =>
      givenProcess(create(() => ''))
        .when(placed)
        .thenNothing(),
    ),
  ).toContain('+ failed: ')
  let calls = 0
  expect(messageOf(() => givenProcess(create(() => (calls += 1))).when(placed))).toContain('it is not pure')
  const keyless = defineProcess({
    type: 'p',
    from: [Order],
    startAt: 'now',
    correlate: { OrderPlaced: () => undefined },
    initialState: () => 0,
    on: { OrderPlaced: () => undefined },
  })
  expect(messageOf(() => givenProcess(keyless).when(placed))).toContain('correlate gives it no key')
})

test('a process may be told of a rejection without its details', () => {
  const Careful = defineProcess({
    type: 'careful',
    from: [Order],
    to: [Shipment],
    startAt: 'now',
    correlate: { OrderPlaced: ({ stream }) => stream.slice('order/'.length) },
    initialState: () => 'new',
    evolve: {
      'shipment/book': (_state, outcome) =>
        outcome.kind === 'rejected' ? (outcome.detailsLeftOut ?? 'with details') : outcome.kind,
    },
    on: { OrderPlaced: (_state, { data }, { key, send }) => send(Shipment, key, 'book', { address: data.address }) },
  })
  givenProcess(Careful, [placed])
    .when(refused(Shipment, '1', 'book', { code: 'undeliverable', detailsLeftOut: 'they are too large' }))
    .thenState('they are too large')
  givenProcess(Careful, [placed])
    .when(refused(Shipment, '1', 'book', rejected('undeliverable', { address: 'x' })))
    .thenState('with details')
})
