/**
 * A process in a simulated cluster, one for each account: it sends a command for each event that it is told, and one more when
 * it has heard nothing for a while. In the end each event was noted once, in order, and the last silence is known.
 */
import { defineAggregate, defineProcess, type Aggregate } from '../../../src/index.ts'
import type { StreamPlacement } from '../../../src/log/stream.ts'
import { CONSUMER } from '../../../src/react/consumer-record.ts'
import type { AnyProcess } from '../../../src/react/process.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { LoggedStreams } from '../../checker/history.ts'
import type { Account } from '../bank.ts'
import { inShard } from './timed.ts'

export const Ledger = defineAggregate({
  type: 'ledger',
  initialState: () => ({ notes: 0, quietAfter: 0 }),
  events: {
    Entered: ({ notes, quietAfter }, _event: { of: number }) => ({ notes: notes + 1, quietAfter }),
    Quieted: ({ notes }, { after }: { after: number }) => ({ notes, quietAfter: after }),
  },
  commands: {
    enter: (_state, event: { of: number }, { emit }) => emit.Entered(event),
    quiet: (_state, event: { after: number }, { emit }) => emit.Quieted(event),
  },
})

const TYPE = 'audit'
const QUIET_MS = 300

/** Where clocks are set by half an hour, what is due by one of them would be waited for as long by another: all are overdue there. */
export function auditOf(account: Account, areClocksSet: boolean): AnyProcess {
  const told = { correlate: ({ stream }: { stream: string }) => idOf(stream), evolve: (heard: number) => heard + 1 }
  const on: AnyProcess['on'][string] = (_heard, { version }, { key, send, schedule }) => {
    send(Ledger, key, 'enter', { of: version })
    schedule('quiet', areClocksSet ? { at: 0 } : { inMs: QUIET_MS })
  }
  const each = <Run>(run: Run) => ({ Deposited: run, Withdrawn: run, Noted: run })
  return defineProcess({
    type: TYPE,
    from: [account as Aggregate],
    to: [Ledger],
    timers: ['quiet'],
    startAt: 'beginning',
    retries: 1_000,
    snapshotEvery: 7,
    correlate: each(told.correlate),
    initialState: () => 0,
    evolve: each(told.evolve),
    on: {
      ...each(on as () => undefined),
      quiet: (heard, _timer, { key, send }) => send(Ledger, key, 'quiet', { after: heard }),
    },
  })
}

/** What the log has of it. */
export function auditStreams(placement: StreamPlacement, log: LoggedStreams): readonly string[] {
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  const consumers = [`${CONSUMER}/process:${TYPE}.told`, `${CONSUMER}/process:${TYPE}.sent`]
  return [
    ...shards.flatMap((shard) => consumers.map((name) => inShard(placement, shard, name))),
    ...[...log.keys()].flatMap((stream) => [`ledger/${idOf(stream)}`, `${TYPE}/${idOf(stream)}`]),
  ]
}

/** Whether all events were noted, and the silence behind the last. */
export async function isAudited({ running }: SimulatedNode, accounts: number): Promise<boolean> {
  for (let id = 0; id < accounts; id += 1) {
    const { length } = await Array.fromAsync(running.store.load(`account/${id}`))
    const { notes, quietAfter } = await running.ref(Ledger, String(id)).state()
    if (notes < length || quietAfter < length) return false
  }
  return true
}

/** `ledgers`: by stream, what its events have in their data. */
export function brokenAudits(log: LoggedStreams, ledgers: ReadonlyMap<string, readonly unknown[]>): string[] {
  return [...log].flatMap(([stream, events]) => {
    const data = (ledgers.get(`ledger/${idOf(stream)}`) ?? []) as readonly { of?: number; after?: number }[]
    const entered = data.flatMap(({ of }) => (of === undefined ? [] : [of])).join()
    const wanted = events.map(({ version }) => version).join()
    const quiet = data.flatMap(({ after }) => (after === undefined ? [] : [after]))
    return [
      ...(entered === wanted ? [] : [`of ${stream} the process has entered ${entered}, and there are ${wanted}`]),
      ...(new Set(quiet).size === quiet.length
        ? []
        : [`a timer of audit/${idOf(stream)} has fired twice: ${quiet.join()}`]),
    ]
  })
}

function idOf(stream: string): string {
  return stream.slice(stream.indexOf('/') + 1)
}
