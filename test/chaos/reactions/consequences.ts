/**
 * What the bank's nodes do because of what happens to accounts (kinds.ts): reactors note events and set timers, a process leads
 * a transfer, an outbox publishes, and an inbox takes orders. Some of it fails for a while, so that it is parked.
 */
import {
  defineAggregate,
  defineInbox,
  defineOutbox,
  defineProcess,
  defineReactor,
  defineSchedule,
  redisStreamPublisher,
  redisStreamSource,
  type ClusterDefinition,
  type ReactorContext,
} from '../../../src/index.ts'
import { Account, type Movement } from '../account.ts'
import { boxOf, kindsOf, TICK_MS, transferOf, type Fate } from './kinds.ts'

/** Where nodes are told of the Redis that takes and gives messages; they react to nothing where there is none. */
export const BROKER_VARIABLE = 'PENHOLD_CHAOS_BROKER'
export const NEWS = 'news'
export const ORDERS = 'orders'
const FAILS = 0.5
const ANSWER_MS = 2_000

/** What was done, as numbers: whoever does something twice, or in another order, shows. */
export const Tally = defineAggregate({
  type: 'tally',
  snapshotEvery: 20,
  initialState: () => ({ count: 0, last: 0 }),
  events: { Noted: ({ count }, { of }: { of: number }) => ({ count: count + 1, last: of }) },
  commands: {
    note: (_state, noted: { of: number }, { emit }) => emit.Noted(noted),
    /** Whose message this is has to wait, and all later ones behind it. */
    take(_state, { of, isAwkward }: { of: number; isAwkward: boolean }, { emit }) {
      maybeFail({ isAwkward })
      return emit.Noted({ of })
    },
  },
})

interface Step {
  readonly transfer: string
}

/** Of an account's transfers. */
export const Ledger = defineAggregate({
  type: 'ledger',
  snapshotEvery: 20,
  initialState: () => 0,
  events: {
    Reserved: (ended, _step: Step) => ended,
    Settled: (ended, _step: Step) => ended + 1,
    Released: (ended, _step: Step) => ended + 1,
    Refused: (ended, _step: Step) => ended + 1,
  },
  commands: {
    reserve: (_ended, { transfer, isRefused }: Step & { isRefused: boolean }, { emit, reject }) =>
      isRefused ? reject('refused') : emit.Reserved({ transfer }),
    settle: (_ended, step: Step, { emit }) => emit.Settled(step),
    release: (_ended, step: Step, { emit }) => emit.Released(step),
    refuse: (_ended, step: Step, { emit }) => emit.Refused(step),
  },
})

/** The id of the account of a stream `account/<id>`. */
export function idOf(stream: string): string {
  return stream.slice(Account.type.length + 1)
}

/** Nobody knows when it will work. */
function maybeFail({ isAwkward }: { readonly isAwkward: boolean }): void {
  if (isAwkward && Math.random() < FAILS) throw new Error('not today')
}

const notes = defineReactor({
  name: 'notes',
  from: [Account],
  startAt: 'beginning',
  on: {
    Moved: ({ stream, version, data }, { ask }) => {
      if (kindsOf(data.by).isNoted) return ask(Tally, `notes-${idOf(stream)}`, 'note', { of: version })
    },
  },
})

const picky = defineReactor({
  name: 'picky',
  from: [Account],
  startAt: 'beginning',
  retries: 1,
  on: {
    Moved: ({ stream, version, data }, { ask }) => {
      const kinds = kindsOf(data.by)
      if (!kinds.isPicked) return
      // Half of them when it is done already.
      const isLate = version % 2 === 0
      if (!isLate) maybeFail(kinds)
      return ask(Tally, `picky-${idOf(stream)}`, 'note', { of: version }).then(() => isLate && maybeFail(kinds))
    },
  },
})

const reminders = defineReactor({
  name: 'reminders',
  from: [Account],
  startAt: 'beginning',
  on: { Moved: ({ stream, version, data }, context) => remind(idOf(stream), version, data, context) },
})

/** Only one timer an account: it is replaced, cancelled, or fires. */
function remind(
  account: string,
  version: number,
  { by }: Movement,
  context: ReactorContext,
): Promise<void> | undefined {
  const { timer, timerMs } = kindsOf(by)
  if (timer === 'cancelled') return context.cancel(account)
  if (timer === undefined) return
  return context.schedule(account, { inMs: timerMs }, Tally, `reminders-${account}`, 'note', { of: version })
}

/** Whatever is missed is made up for. */
const ticks = defineSchedule({
  name: 'ticks',
  cron: `*/${TICK_MS / 1_000} * * * * *`,
  missed: 'all',
  aggregate: Tally,
  id: 'ticks',
  command: 'note',
  payload: ({ time }) => ({ of: time.getTime() }),
})

interface Transfer {
  readonly fate: Fate | undefined
  readonly isReserved: boolean
  readonly isDue: boolean
}

const transfer = defineProcess({
  type: 'transfer',
  from: [Account],
  to: [Ledger],
  timers: ['due'],
  startAt: 'beginning',
  retries: 1,
  snapshotEvery: 3,
  correlate: {
    Moved: ({ stream, version, data }) =>
      kindsOf(data.by).transfer === undefined ? undefined : transferOf(idOf(stream), version),
  },
  initialState: (): Transfer => ({ fate: undefined, isReserved: false, isDue: false }),
  evolve: {
    Moved: (state, { data }) => ({ ...state, fate: kindsOf(data.by).transfer }),
    'ledger/reserve': (state, { kind }) => ({ ...state, isReserved: kind === 'accepted' }),
    due: (state) => ({ ...state, isDue: true }),
  },
  on: {
    Moved({ fate }, { data }, { key, send, schedule }) {
      const kinds = kindsOf(data.by)
      maybeFail(kinds)
      send(Ledger, accountOf(key), 'reserve', { transfer: key, isRefused: fate === 'refused' })
      schedule('due', { inMs: kinds.timerMs })
    },
    'ledger/reserve'({ fate, isDue }, { kind }, { key, send, cancel, complete }) {
      // One that is to be released waits for its timer, which may have come before.
      if (kind === 'accepted' && fate === 'released' && !isDue) return
      cancel('due')
      const name = kind !== 'accepted' ? 'refuse' : fate === 'released' ? 'release' : 'settle'
      send(Ledger, accountOf(key), name, { transfer: key })
      complete()
    },
    due({ isReserved }, _timer, { key, send, complete }) {
      if (!isReserved) return
      send(Ledger, accountOf(key), 'release', { transfer: key })
      complete()
    },
  },
})

function accountOf(key: string): string {
  return key.slice(0, key.lastIndexOf('-'))
}

const outboxTo = (redis: string) =>
  defineOutbox({
    name: NEWS,
    from: [Account],
    startAt: 'beginning',
    retries: 1,
    map: {
      Moved({ data }) {
        const kinds = kindsOf(data.by)
        if (!kinds.isPublished) return undefined
        maybeFail(kinds)
        return { type: 'bank.moved', data: { amount: data.amount } }
      },
    },
    publisher: redisStreamPublisher({ redis, stream: NEWS, timeoutMs: ANSWER_MS }),
  })

const inboxFrom = (redis: string) =>
  defineInbox({
    name: ORDERS,
    startAt: 'beginning',
    source: redisStreamSource({ redis, stream: ORDERS, timeoutMs: ANSWER_MS }),
    to: [Tally],
    map({ fields: { box = '', n } }) {
      const isAwkward = Number(n) % ONE_ORDER_IN === 0
      return { aggregate: Tally, id: boxOf(box), command: 'take', payload: { of: Number(n), isAwkward } }
    },
  })

const ONE_ORDER_IN = 20

type Reactions = Required<
  Pick<ClusterDefinition, 'reactors' | 'processes' | 'outboxes' | 'inboxes' | 'schedules' | 'aggregates'>
>

/** Those of a node; none where it was told of no broker. */
export function reactions(): Reactions {
  const redis = process.env[BROKER_VARIABLE]
  if (redis === undefined)
    return { aggregates: [], reactors: [], processes: [], outboxes: [], inboxes: [], schedules: [] }
  return {
    aggregates: [Tally, Ledger],
    reactors: [notes, picky, reminders],
    processes: [transfer],
    outboxes: [outboxTo(redis)],
    inboxes: [inboxFrom(redis)],
    schedules: [ticks],
  }
}
