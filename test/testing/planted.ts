/** Aggregates with a bug in each, of the kind that no test of a single decision finds. */
import { z } from 'zod'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'

interface Payment {
  readonly payment: string
  readonly amount: number
}

interface Ledger {
  readonly paid: Readonly<Record<string, undefined>>
  readonly total: number
}

/**
 * A payment that is sent again, as a new command, is to be booked once. The set of them is made of keys without a
 * value: in memory they are there, but no snapshot keeps them.
 */
export const LedgerWithLostKeys = defineAggregate({
  type: 'ledger',
  initialState: (): Ledger => ({ paid: {}, total: 0 }),
  events: {
    PaymentBooked: ({ paid, total }, { payment, amount }: Payment) => ({
      paid: { ...paid, [payment]: undefined },
      total: total + amount,
    }),
  },
  commands: {
    book: ({ paid }, { payment, amount }: Payment, { emit, reject }) =>
      payment in paid ? reject('booked-before') : emit.PaymentBooked({ payment, amount }),
  },
})

interface Line {
  readonly item: string
}

interface Order {
  readonly lines: readonly Line[]
  readonly newest: Line | undefined
}

/** The newest line is found by its identity; read back from a snapshot, it is equal to itself and no more. */
export const OrderByIdentity = defineAggregate({
  type: 'order',
  initialState: (): Order => ({ lines: [], newest: undefined }),
  events: {
    LineAdded: ({ lines }, { item }: Line): Order => {
      const line = { item }
      return { lines: [...lines, line], newest: line }
    },
    LineTakenBack: ({ lines, newest }): Order => {
      const left = lines.filter((line) => line !== newest)
      return { lines: left, newest: left.at(-1) }
    },
  },
  commands: {
    add: (_order, { item }: Line, { emit }) => emit.LineAdded({ item }),
    takeBack: ({ newest }) => (newest === undefined ? undefined : { type: 'LineTakenBack' as const, data: undefined }),
  },
})

interface Stock {
  readonly pieces: Map<string, number>
}

/** A map, which a snapshot cannot hold. */
export const StockInMap = defineAggregate({
  type: 'stock',
  initialState: (): Stock => ({ pieces: new Map() }),
  events: {
    Delivered: ({ pieces }, { article }: { article: string }) => ({
      pieces: new Map([...pieces, [article, (pieces.get(article) ?? 0) + 1]]),
    }),
  },
  commands: { deliver: (_stock, { article }: { article: string }, { emit }) => emit.Delivered({ article }) },
})

interface Lamp {
  readonly switchedAt: Date | null
}

/** A date. */
export const LampWithDate = defineAggregate({
  type: 'lamp',
  initialState: (): Lamp => ({ switchedAt: null }),
  events: { Switched: (_lamp, { at }: { at: number }) => ({ switchedAt: new Date(at) }) },
  commands: { switch: (_lamp, _nothing: undefined, { emit, now }) => emit.Switched({ at: now }) },
})

class Money {
  readonly cents: number

  constructor(cents: number) {
    this.cents = cents
  }

  plus(cents: number): Money {
    return new Money(this.cents + cents)
  }
}

/** An instance of a class, whose methods no snapshot keeps. */
export const PurseWithClass = defineAggregate({
  type: 'purse',
  initialState: () => ({ money: new Money(0) }),
  events: { Filled: ({ money }, { cents }: { cents: number }) => ({ money: money.plus(cents) }) },
  commands: { fill: (_purse, { cents }: { cents: number }, { emit }) => emit.Filled({ cents }) },
})

/** The sign of zero tells from which side it was reached; the log has no such sign. */
export const DialWithSignedZero = defineAggregate({
  type: 'dial',
  initialState: () => ({ angle: 0 }),
  events: { Turned: (_dial, { angle }: { angle: number }) => ({ angle: angle === 0 ? -0 : angle }) },
  commands: {
    turn: ({ angle }, { by }: { by: number }, { emit, reject }) =>
      Object.is(angle, -0) && by < 0 ? reject('at-its-end') : emit.Turned({ angle: angle + by }),
  },
})

/** What was reserved last, by whichever aggregate. */
let lastSeat = 0

/** Numbers seats from a variable of the module, which starts anew with each process and is shared by all aggregates. */
export const TheatreWithModuleState = defineAggregate({
  type: 'theatre',
  initialState: (): readonly number[] => [],
  events: {
    SeatReserved: (seats, { seat }: { seat: number }) => [...seats, seat],
    SeatsMoved: (seats, { seat }: { seat: number }) => seats.map(() => seat),
  },
  commands: {
    reserve: (_seats, { seat }: { seat: number }, { emit }) => {
      lastSeat = seat
      return emit.SeatReserved({ seat })
    },
    move: (seats, _nothing: undefined, { emit }) =>
      seats.length === 0 ? undefined : emit.SeatsMoved({ seat: lastSeat }),
  },
})

/** Looks at the clock by itself. */
export const BadgeWithOwnClock = defineAggregate({
  type: 'badge',
  initialState: () => ({ times: 0 }),
  events: { Stamped: ({ times }, _data: { day: string }) => ({ times: times + 1 }) },
  commands: {
    stamp: (_badge, _nothing: undefined, { emit }) => emit.Stamped({ day: new Date().toISOString().slice(0, 10) }),
  },
})

let tickets = 0

/** No bug: a schema may make up a number each time, and what is asked again after a crash is still what was asked. */
export const QueueWithImpureSchema = defineAggregate({
  type: 'queue',
  schemas: { draw: z.object({ ticket: z.number().default(() => (tickets += 1)) }) },
  initialState: () => ({ drawn: 0 }),
  events: { TicketDrawn: ({ drawn }, _data: { ticket: number }) => ({ drawn: drawn + 1 }) },
  commands: { draw: (_queue, { ticket }, { emit }) => emit.TicketDrawn({ ticket }) },
})

/** Stock that can run short of nothing: the invariant itself is wrong after three deliveries. */
export const ShelfThatOverflows = defineAggregate({
  type: 'shelf',
  initialState: () => ({ pieces: 0 }),
  events: {
    Stocked: ({ pieces }, { count }: { count: number }) => ({ pieces: pieces + count }),
    Taken: ({ pieces }, { count }: { count: number }) => ({ pieces: pieces - count }),
  },
  commands: {
    stock: (_shelf, { count }: { count: number }, { emit }) => emit.Stocked({ count }),
    take: ({ pieces }, { count }: { count: number }, { emit, reject }) =>
      // It should be: count > pieces.
      pieces <= 0 ? reject('empty') : emit.Taken({ count }),
  },
})

interface Loan {
  readonly due: number | null
}

const DUE_AFTER_MS = 14 * 24 * 60 * 60_000

/** What is overdue may still be renewed: one handler has forgotten to look. */
export const LoanRenewedTooLate = defineAggregate({
  type: 'loan',
  initialState: (): Loan => ({ due: null }),
  events: {
    Borrowed: (_loan, { due }: { due: number; at: number }): Loan => ({ due }),
    Renewed: (_loan, { due }: { due: number; at: number }): Loan => ({ due }),
    GivenBack: (_loan, _data: { isLate: boolean }): Loan => ({ due: null }),
  },
  commands: {
    borrow: ({ due }, _nothing: undefined, { emit, reject, now }) =>
      due === null ? emit.Borrowed({ due: now + DUE_AFTER_MS, at: now }) : reject('lent'),
    renew: ({ due }, _nothing: undefined, { emit, reject, now }) =>
      // It should also be: now > due.
      due === null ? reject('not-lent') : emit.Renewed({ due: now + DUE_AFTER_MS, at: now }),
    giveBack: ({ due }, _nothing: undefined, { emit, reject, now }) =>
      due === null ? reject('not-lent') : emit.GivenBack({ isLate: now > due }),
  },
})

/** Nobody can ever knock: no door was ever built. */
export const DoorThatIsNotThere = defineAggregate({
  type: 'door',
  initialState: () => ({ isThere: false }),
  events: { Knocked: (door) => door },
  commands: {
    knock: ({ isThere }, _nothing: undefined, { emit, reject }) => (isThere ? emit.Knocked() : reject('no-door')),
    look: () => undefined,
  },
})
