/** What a node says of what it reacts to, and does about it. */
import type { ConsumerStatus, Node } from '../../../src/index.ts'
import { Ledger, ORDERS, reactions, Tally } from './consequences.ts'
import { Account, type Movement } from '../account.ts'
import { boxOf, BOXES, kindsOf, TICK_MS } from './kinds.ts'

export type ReactionCall =
  /** What is parked is tried again; resolves to how often something was. */
  | { readonly kind: 'retryParked' }
  /** What is not done yet, in words, where this node has a say in it. */
  | { readonly kind: 'underWay' }
  /** The same of what follows from these accounts, and of the orders that were given. */
  | { readonly kind: 'outstanding'; readonly accounts: readonly string[]; readonly orders: number }
  /** Of which time the last run of the schedule is whose command has taken effect. */
  | { readonly kind: 'ticked' }
  /** How far each of these accounts is. */
  | { readonly kind: 'versions'; readonly accounts: readonly string[] }

const TICKS_LATE = 3

/** By their names the same as those of the config. */
const { outboxes, inboxes } = reactions()

export async function react(node: Node, call: ReactionCall): Promise<unknown> {
  switch (call.kind) {
    case 'retryParked':
      return await retryParked(node)
    case 'underWay':
      return (await consumersAt(node)).filter(isUnderWay).map(({ kind, name, state, trouble }) => {
        return `${kind} ${name} is ${state}${trouble === undefined ? '' : `: ${trouble}`}`
      })
    case 'outstanding': {
      const ofAccounts = await Promise.all(call.accounts.map((account) => outstandingOf(node, account)))
      return [...ofAccounts.flat(), ...(await outstandingOrders(node, call.orders)), ...(await outstandingTicks(node))]
    }
    case 'ticked':
      return await ticked(node)
    case 'versions':
      return await Promise.all(call.accounts.map(async (id) => (await node.ref(Account, id).query('look')).version))
  }
}

async function consumersAt(node: Node): Promise<readonly ConsumerStatus[]> {
  const status = await node.status()
  return [...status.reactors, ...status.processes, ...status.outboxes, ...status.timers]
}

function isUnderWay({ state, parkedStreams }: ConsumerStatus): boolean {
  return (state !== 'caught up' && state !== 'elsewhere') || parkedStreams > 0
}

async function retryParked(node: Node): Promise<number> {
  let retried = 0
  for (const { kind, name } of await consumersAt(node)) {
    const ref = kind === 'outbox' ? node.outbox(outboxes.find((each) => each.name === name)!) : node.reactor({ name })
    for (const { stream } of await ref.parked()) {
      await ref.retryParked(stream)
      retried += 1
    }
  }
  for (const inbox of inboxes) {
    const ref = node.inbox(inbox)
    for (const { id, reason } of await ref.parked()) {
      // It waits behind another one.
      if (reason === '') continue
      await ref.retryParked(id)
      retried += 1
    }
  }
  return retried
}

/** What its events have set in motion and is not there. That commands are sent for timers that were replaced is not seen here. */
async function outstandingOf(node: Node, account: string): Promise<string[]> {
  const events = await Array.fromAsync(node.store.load(`${Account.type}/${account}`))
  const all = events.map(({ version, data }) => ({ version, ...kindsOf((data as Movement).by) }))
  const lastTimer = all.findLast(({ timer }) => timer !== undefined)
  const tally = (id: string) => node.ref(Tally, `${id}-${account}`).state()
  const [notes, picked, reminders, ended] = await Promise.all([
    tally('notes'),
    tally('picky'),
    tally('reminders'),
    node.ref(Ledger, account).state(),
  ])
  const counts = [
    ['noted', all.filter(({ isNoted }) => isNoted).length, notes.count],
    ['picked', all.filter(({ isPicked }) => isPicked).length, picked.count],
    ['transfers', all.filter(({ transfer }) => transfer !== undefined).length, ended],
    ['the last timer', lastTimer?.timer === 'set' ? lastTimer.version : reminders.last, reminders.last],
  ] as const
  return counts
    .filter(([, wanted, had]) => wanted !== had)
    .map(([what, wanted, had]) => `account ${account}, ${what}: ${had} and not ${wanted}`)
}

async function outstandingOrders(node: Node, orders: number): Promise<string[]> {
  const boxes = Array.from({ length: BOXES }, (_, box) => node.ref(Tally, boxOf(box)).state())
  const taken = (await Promise.all(boxes)).reduce((sum, { count }) => sum + count, 0)
  const parked = await Promise.all(inboxes.map(async (inbox) => (await node.inbox(inbox).parked()).length))
  return [
    ...(taken === orders ? [] : [`${ORDERS}: ${taken} of ${orders} are taken`]),
    ...parked.flatMap((count) => (count === 0 ? [] : [`${ORDERS}: ${count} are parked`])),
  ]
}

async function ticked(node: Node): Promise<number> {
  return (await node.ref(Tally, 'ticks').state()).last
}

/** By the clock of this node. There is always one to come. */
async function outstandingTicks(node: Node): Promise<string[]> {
  const lateMs = Date.now() - (await ticked(node))
  return lateMs <= TICKS_LATE * TICK_MS ? [] : [`ticks: the last was ${lateMs} ms ago`]
}
