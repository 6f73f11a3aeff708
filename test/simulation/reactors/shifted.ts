/**
 * Timers that are replaced and cancelled, in a simulated cluster: for each account a reactor has one timer. Each event of the account sets it
 * anew, for a moment later; each third cancels it, also where it has fired, so that there is none.
 *
 * In the end each timer that was set was fired, replaced or cancelled, once, and by an event behind the one that set it; and what those that
 * were fired are for has effect once.
 */
import { defineAggregate, defineReactor, type Reactor } from '../../../src/index.ts'
import { timeOfPosition } from '../../../src/log/position.ts'
import type { StreamPlacement } from '../../../src/log/stream.ts'
import { CONSUMER } from '../../../src/react/consumer-record.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { LoggedStreams } from '../../checker/history.ts'
import type { Account } from '../bank.ts'
import type { OtherEvent } from '../ground-truth.ts'
import { inShard } from './timed.ts'

/** Its state is the last event whose timer it was told of. */
export const Shifted = defineAggregate({
  type: 'shifted',
  initialState: () => 0,
  events: { Told: (last, { of }: { of: number }) => Math.max(last, of) },
  commands: { tell: (_last, { of }: { of: number }, { emit }) => emit.Told({ of }) },
})

export const SHIFTS = 'shifts'
/** Far less than one event comes behind another. */
const SOON_MS = 20
const LATER_MS = 700
/** Clocks of nodes are hardly further apart, where nobody has set them. */
const APART_MS = 300

/** Where clocks are set, all are overdue (timed.ts). */
export function shiftingReactor(account: Account, areClocksSet: boolean): Reactor {
  const shift: Reactor['on'][string] = async ({ stream, version }, { schedule, cancel }) => {
    const id = idOf(stream)
    if (cancels(version)) return await cancel(id)
    const when = areClocksSet ? { at: 0 } : { inMs: version % 2 === 0 ? SOON_MS : LATER_MS }
    await schedule(id, when, Shifted, id, 'tell', { of: version })
  }
  const on = { Deposited: shift, Withdrawn: shift, Noted: shift }
  return defineReactor({ name: SHIFTS, from: [account], startAt: 'beginning', retries: 1_000, on })
}

/** What the log has of it. */
export function shiftedStreams(placement: StreamPlacement, log: LoggedStreams): readonly string[] {
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  return [
    ...shards.map((shard) => inShard(placement, shard, `${CONSUMER}/reactor:${SHIFTS}`)),
    ...[...log.keys()].flatMap((stream) => [`shifted/${idOf(stream)}`, timerOf(stream)]),
  ]
}

/** Whether what the last events have set has fired. */
export async function isShifted({ running }: SimulatedNode, accounts: number): Promise<boolean> {
  for (let id = 0; id < accounts; id += 1) {
    const { length } = await Array.fromAsync(running.store.load(`account/${id}`))
    if (length === 0 || cancels(length)) continue
    if ((await running.ref(Shifted, String(id)).state()) < length) return false
  }
  return true
}

interface TimerFact {
  readonly token?: string
  readonly at?: number
  readonly command?: { readonly payload: { readonly of: number } }
}

/** What each timer came to, by its token. */
export function brokenShifts(log: LoggedStreams, others: ReadonlyMap<string, readonly OtherEvent[]>): string[] {
  return [...log].flatMap(([stream, events]) => {
    const problems: string[] = []
    const setBy = new Map<string, number>()
    let dueAt = 0
    const fired: number[] = []
    let pending: string | undefined
    for (const { type, data, position } of others.get(timerOf(stream)) ?? []) {
      const { token, command, at } = data as TimerFact
      if (type === 'TimerSet') {
        if (setBy.has(token!)) problems.push(`it was set twice by version ${setBy.get(token!)}`)
        setBy.set(token!, command!.payload.of)
        pending = token
        dueAt = at!
        continue
      }
      // A cancellation finds one or none.
      if (type === 'TimerCancelled' && token === undefined && pending === undefined) continue
      const version = setBy.get(token ?? '')
      if (token === undefined || token !== pending) problems.push(`one that was not set has ended (${type})`)
      // The next event of the account is the only one that may cancel it.
      if (type === 'TimerCancelled' && !cancels(version! + 1))
        problems.push(`what version ${version} has set was cancelled`)
      if (type === 'TimerFired') {
        fired.push(version!)
        const early = dueAt - timeOfPosition(position)
        if (early > APART_MS) problems.push(`what version ${version} has set has fired ${early} ms before its time`)
      }
      pending = undefined
    }
    if (pending !== undefined) problems.push(`what version ${setBy.get(pending)} has set did not fire`)
    const wanted = events.map(({ version }) => version).filter((version) => !cancels(version))
    const told = (others.get(`shifted/${idOf(stream)}`) ?? []).map(({ data }) => (data as { of: number }).of)
    if ([...setBy.values()].join() !== wanted.join())
      problems.push(`it was set by ${[...setBy.values()].join()}, not ${wanted.join()}`)
    if (told.toSorted(ascending).join() !== fired.toSorted(ascending).join())
      problems.push(`${fired.join()} have fired, and ${told.join()} were told of`)
    return problems.map((problem) => `the timer of ${stream}: ${problem}`)
  })
}

function cancels(version: number): boolean {
  return version % 3 === 0
}

function ascending(a: number, b: number): number {
  return a - b
}

function timerOf(stream: string): string {
  return `$timer/${SHIFTS}:${idOf(stream)}`
}

function idOf(stream: string): string {
  return stream.slice(stream.indexOf('/') + 1)
}
