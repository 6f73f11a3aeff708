/**
 * Timers in a simulated cluster: a reactor sets one for each event of an account, by which its version is noted a moment
 * later. In the end each was noted once.
 */
import { defineAggregate, defineReactor, type Reactor } from '../../../src/index.ts'
import type { StreamPlacement } from '../../../src/log/stream.ts'
import { CONSUMER } from '../../../src/react/consumer-record.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { LoggedStreams } from '../../checker/history.ts'
import type { Account } from '../bank.ts'

export const Timed = defineAggregate({
  type: 'timed',
  initialState: () => 0,
  events: { Timed: (count, _event: { of: number }) => count + 1 },
  commands: { note: (_count, { of }: { of: number }, { emit }) => emit.Timed({ of }) },
})

const NAME = 'timed'
/** They run wherever anything consumes events. */
const OF_TIMERS = ['timers:$timers', 'timers:$timer-commands']

/** Where clocks are set by half an hour, what is due by one of them would be waited for as long by another: all are overdue there. */
export function timedReactor(account: Account, areClocksSet: boolean): Reactor {
  const set: Reactor['on'][string] = async ({ stream, version }, { schedule }) => {
    const id = idOf(stream)
    const when = areClocksSet ? { at: 0 } : { inMs: (version % 4) * 700 }
    await schedule(`${id}-${version}`, when, Timed, id, 'note', { of: version })
  }
  const on = { Deposited: set, Withdrawn: set, Noted: set }
  return defineReactor({ name: NAME, from: [account], startAt: 'beginning', retries: 1_000, on })
}

/** What the log has of what runs timers, but for the buckets. */
export function timerStreams(placement: StreamPlacement): readonly string[] {
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  const streams = [...OF_TIMERS.map((name) => `${CONSUMER}/${name}`), '$timers/all']
  return shards.flatMap((shard) => streams.map((stream) => inShard(placement, shard, stream)))
}

/** The same, and what is of the reactor. */
export function timedStreams(placement: StreamPlacement, log: LoggedStreams): readonly string[] {
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  const own = shards.map((shard) => inShard(placement, shard, `${CONSUMER}/reactor:${NAME}`))
  const set = [...log].flatMap(([stream, events]) => [
    `timed/${idOf(stream)}`,
    ...events.map(({ version }) => `$timer/${NAME}:${idOf(stream)}-${version}`),
  ])
  return [...own, ...timerStreams(placement), ...set]
}

/** The buckets that were opened by an event of `$timers`. */
export function bucketsOf(placement: StreamPlacement, shard: number, data: unknown): readonly string[] {
  const { buckets = {} } = (data ?? {}) as { readonly buckets?: object }
  return Object.keys(buckets).map((name) => inShard(placement, shard, `$due/${name}`))
}

/** Whether as many were noted as there are events. */
export async function isTimedDone(node: SimulatedNode, accounts: number): Promise<boolean> {
  const { running } = node
  for (let id = 0; id < accounts; id += 1) {
    const events = await Array.fromAsync(running.store.load(`account/${id}`))
    if ((await running.ref(Timed, String(id)).state()) < events.length) return false
  }
  return true
}

export function brokenTimers(log: LoggedStreams, noted: ReadonlyMap<string, readonly number[]>): string[] {
  return [...log].flatMap(([stream, events]) => {
    const have = (noted.get(`timed/${idOf(stream)}`) ?? []).toSorted((a, b) => a - b).join()
    const wanted = events.map(({ version }) => version).join()
    return have === wanted ? [] : [`timers of ${stream} have fired for ${have}, and were set for ${wanted}`]
  })
}

export function inShard(placement: StreamPlacement, shard: number, id: string): string {
  for (let salt = 0; ; salt += 1) {
    const name = `${id}~${salt}`
    if (placement.shardOf(name) === shard) return name
  }
}

function idOf(stream: string): string {
  return stream.slice(stream.indexOf('/') + 1)
}
