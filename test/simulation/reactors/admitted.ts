/**
 * A process in a simulated cluster that asks at gates which open and shut. What it has recorded of each command is what became of
 * it: who was refused never gets in, however late copies of the command come; and who has got in is never told that the command has
 * failed, though nobody would send it any more.
 */
import { defineAggregate, defineProcess, type Aggregate } from '../../../src/index.ts'
import type { StreamPlacement } from '../../../src/log/stream.ts'
import { CONSUMER } from '../../../src/react/consumer-record.ts'
import type { AnyProcess } from '../../../src/react/process.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { LoggedStreams } from '../../checker/history.ts'
import type { Account } from '../bank.ts'
import type { Found } from '../ground-truth.ts'
import { attemptAt } from '../operate.ts'
import { STRIKES_END_MS } from '../cluster/plan.ts'
import { inShard } from './timed.ts'

export const Gate = defineAggregate({
  type: 'gate',
  initialState: () => ({ isOpen: false }),
  events: {
    Entered: (state, _event: { who: string }) => state,
    Turned: ({ isOpen }) => ({ isOpen: !isOpen }),
  },
  commands: {
    enter: ({ isOpen }, { who }: { who: string }, { emit, reject }) =>
      isOpen ? emit.Entered({ who }) : reject('shut'),
    turn: (_state, _payload: undefined, { emit }) => emit.Turned(),
  },
})

/** The same, as a node's config has it whose code has grown strict: each so-manieth command that is sent its schema refuses. */
export function strictGate(every: number): Aggregate {
  let sent = 0
  const validate = (value: unknown): object => {
    sent += 1
    return sent % every === 0 ? { issues: [{ message: 'not like this' }] } : { value }
  }
  return { ...Gate, schemas: { enter: { '~standard': { version: 1, vendor: 'simulated', validate } } } } as Aggregate
}

const TYPE = 'guest'
const GATES = 3
/** Of each account, so that many have something under way. */
const GUESTS = 4
const TURNED_FROM_MS = 500

/** `isToldAtOnce`: it hears of a failure before its command is tried again. */
export function guestOf(account: Account, isToldAtOnce: boolean): AnyProcess {
  const each = <Run>(run: Run) => ({ Deposited: run, Withdrawn: run, Noted: run })
  const come: AnyProcess['on'][string] = (_nothing, { stream, version }, { send }) =>
    send(Gate, String(version % GATES), 'enter', { who: `${stream}/${version}` })
  return defineProcess({
    type: TYPE,
    from: [account as Aggregate],
    to: [Gate],
    startAt: 'beginning',
    retries: isToldAtOnce ? 0 : 1_000,
    correlate: each(({ stream, version }: { stream: string; version: number }) => guestAt(stream, version)),
    initialState: () => 0,
    evolve: {},
    on: { ...each(come as () => undefined), 'gate/enter': ignore as () => undefined },
  })
}

/** Turns the gates, one after the other, so often; at whichever node. Whether that is done nobody asks. */
export function turnGates(cluster: SimulatedCluster, everyMs: number): void {
  for (let i = 0; TURNED_FROM_MS + i * everyMs < STRIKES_END_MS; i += 1) {
    cluster.kernel.after(TURNED_FROM_MS + i * everyMs, () => {
      const { nodes } = cluster
      const node = nodes[i % Math.max(1, nodes.length)]
      if (node !== undefined)
        void attemptAt(node, (running) => running.ref(Gate, String(i % GATES)).ask('turn'), ignore)
    })
  }
}

/** What the log has of it. */
export function guestStreams(placement: StreamPlacement, log: LoggedStreams): readonly string[] {
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  const consumers = [`${CONSUMER}/process:${TYPE}.told`, `${CONSUMER}/process:${TYPE}.sent`]
  return [
    ...shards.flatMap((shard) => consumers.map((name) => inShard(placement, shard, name))),
    ...Array.from({ length: GATES }, (_, gate) => `gate/${gate}`),
    ...[...log.keys()].flatMap((stream) => guestsOf(stream)),
  ]
}

/** Whether each has heard what became of all its commands. */
export async function areGuestsAnswered({ running }: SimulatedNode, accounts: number): Promise<boolean> {
  for (let id = 0; id < accounts; id += 1) {
    const stream = `account/${id}`
    const { length } = await Array.fromAsync(running.store.load(stream))
    let answered = 0
    for (const guest of guestsOf(stream)) {
      for await (const { type } of running.store.load(guest)) if (type === '$outcome') answered += 1
    }
    if (answered < length) return false
  }
  return true
}

/** What was wrong, in words. */
export function brokenGuests(log: LoggedStreams, others: Found['others']): string[] {
  const entered = new Map<string, number>()
  for (let gate = 0; gate < GATES; gate += 1) {
    for (const { type, data } of others.get(`gate/${gate}`) ?? []) {
      if (type !== 'Entered') continue
      const { who } = data as { readonly who: string }
      entered.set(who, (entered.get(who) ?? 0) + 1)
    }
  }
  return [...log].flatMap(([stream, events]) => {
    const told = outcomesIn(others, stream)
    return events.flatMap(({ version }) => {
      const who = `${stream}/${version}`
      const [kinds, times] = [told.get(who) ?? [], entered.get(who) ?? 0]
      const isTrue = kinds.length === 1 && times === (kinds[0] === 'accepted' ? 1 : 0)
      return isTrue ? [] : [`${who} was told ${kinds.join(' and ') || 'nothing'}, and has entered ${times} times`]
    })
  })
}

/** By who asked, what was recorded. */
function outcomesIn(others: Found['others'], stream: string): ReadonlyMap<string, readonly string[]> {
  const told = new Map<string, string[]>()
  for (const guest of guestsOf(stream)) {
    const asked = new Map<number, string>()
    for (const { type, data } of others.get(guest) ?? []) {
      if (type === '$sent') {
        const { n, payload } = data as { readonly n: number; readonly payload: { readonly who: string } }
        asked.set(n, payload.who)
      } else if (type === '$outcome') {
        const { n, kind } = data as { readonly n: number; readonly kind: string }
        const who = asked.get(n)!
        told.set(who, [...(told.get(who) ?? []), kind])
      }
    }
  }
  return told
}

function guestAt(stream: string, version: number): string {
  return `${stream.slice(stream.indexOf('/') + 1)}-${version % GUESTS}`
}

function guestsOf(stream: string): readonly string[] {
  return Array.from({ length: GUESTS }, (_, guest) => `${TYPE}/${guestAt(stream, guest)}`)
}

function ignore(): void {}
