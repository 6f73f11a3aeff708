/**
 * Drives W1, W2 and W3 against any peer, and judges its store afterwards. The commands come from a seeded generator, so
 * that every peer gets the same ones in the same order; how far a run gets depends on the peer and the bound alone.
 */
import assert from 'node:assert/strict'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

import type { AccountCommand } from './bank-account.ts'
import type { Outcome, Peer } from './peer.ts'
import type { MeasuredRow } from './row.ts'

export type Workload = { readonly name: MeasuredRow['workload']; readonly accounts: number; readonly inFlight: number }

export const workloads: readonly Workload[] = [
  { name: 'W1', accounts: 1_000, inFlight: 256 },
  { name: 'W2', accounts: 1, inFlight: 64 },
  { name: 'W3', accounts: 1_000, inFlight: 1 },
]

/**
 * A run ends after this many seconds or commands, whichever comes first. Opening the accounts counts as neither. The
 * first sixth of it lets the code get hot; its commands are verified like all others but are not in the figures.
 */
export type Bound = { readonly seconds: number; readonly commandsMax?: number; readonly seed?: number }

/** Runs one workload on an empty store in `dir`, which exists. Throws where the store is not what was acknowledged. */
export async function runWorkload(peer: Peer, workload: Workload, run: Bound & { dir: string }): Promise<MeasuredRow> {
  const version = await peer.open(run.dir)
  try {
    const promised = new Promised(workload)
    await openAccounts(peer, workload, promised)
    const next = commandsOf(workload.accounts, run.seed ?? 1)
    await drive(peer, { inFlight: workload.inFlight, bound: partOf(run, 1 / 6), promised, next })
    const measured = await drive(peer, { inFlight: workload.inFlight, bound: partOf(run, 5 / 6), promised, next })
    const eventsVerified = await verify(peer, promised)
    return { kind: 'measured', peer: peer.name, version, workload: workload.name, ...measured, eventsVerified }
  } finally {
    await peer.close()
  }
}

/** What the peer's acknowledgements promise: accepted commands, and the balances they add up to in any order. */
class Promised {
  readonly balances = new Map<string, number>()
  readonly #isOutcomeCertain: boolean
  accepted = 0
  rejected = 0

  constructor({ inFlight }: Workload) {
    this.#isOutcomeCertain = inFlight === 1
  }

  acknowledge(accountId: string, command: AccountCommand, outcome: Outcome): void {
    const balance = this.balances.get(accountId) ?? 0
    if (outcome === 'rejected') {
      // With others in flight it depends on the order in which the peer took them whether a withdrawal is an overdraft.
      const mayReject = command.type === 'withdraw' && (!this.#isOutcomeCertain || balance < command.amount)
      assert.ok(mayReject, `${accountId} has ${balance} and rejected: ${command.type} ${command.amount}`)
      this.rejected += 1
      return
    }
    this.balances.set(accountId, balance + (command.type === 'withdraw' ? -command.amount : command.amount))
    this.accepted += 1
  }
}

async function openAccounts(peer: Peer, { accounts }: Workload, promised: Promised): Promise<void> {
  const open = { type: 'open', amount: 100, reference: referenceOf(0) } as const
  const openOne = async (_: unknown, index: number): Promise<void> => {
    const accountId = accountIdOf(index)
    promised.acknowledge(accountId, open, await peer.submit(accountId, open))
  }
  await Promise.all(Array.from({ length: accounts }, openOne))
}

type NextCommand = () => { readonly accountId: string; readonly command: AccountCommand }
type Drive = {
  readonly inFlight: number
  readonly bound: Bound
  readonly promised: Promised
  readonly next: NextCommand
}
type Measured = Pick<MeasuredRow, 'accepted' | 'rejected' | 'seconds' | 'acceptedPerSecond' | 'p50Ms' | 'p99Ms'>

async function drive(peer: Peer, { inFlight, bound, promised, next }: Drive): Promise<Measured> {
  const latencies = createHistogram()
  const before = { accepted: promised.accepted, rejected: promised.rejected }
  const startMs = performance.now()
  const endMs = startMs + bound.seconds * 1_000
  let left = bound.commandsMax ?? Infinity
  const sendUntilBound = async (): Promise<void> => {
    for (let sentMs = performance.now(); sentMs < endMs && left > 0; sentMs = performance.now()) {
      left -= 1
      const { accountId, command } = next()
      promised.acknowledge(accountId, command, await peer.submit(accountId, command))
      latencies.record(Math.max(1, Math.round((performance.now() - sentMs) * 1e6)))
    }
  }
  const stopAllOnFailure = (failure: unknown): void => {
    left = 0
    throw failure
  }
  // Every sender has ended before this function does: nobody closes a store under a command.
  const ends = await Promise.allSettled(
    Array.from({ length: inFlight }, () => sendUntilBound().catch(stopAllOnFailure)),
  )
  const seconds = (performance.now() - startMs) / 1_000
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  const accepted = promised.accepted - before.accepted
  const rejected = promised.rejected - before.rejected
  return { accepted, rejected, seconds, acceptedPerSecond: accepted / seconds, ...percentilesOf(latencies) }
}

async function verify(peer: Peer, promised: Promised): Promise<number> {
  const ledger = await peer.verify()
  assert.equal(ledger.events, promised.accepted, `${peer.name}: events stored are not the commands acknowledged`)
  assert.deepEqual(ledger.balances(), promised.balances, `${peer.name}: the stored events give other balances`)
  return ledger.events
}

function partOf({ seconds, commandsMax = Infinity }: Bound, part: number): Bound {
  return { seconds: seconds * part, commandsMax: Math.ceil(commandsMax * part) }
}

function percentilesOf(latencies: RecordableHistogram): { p50Ms: number; p99Ms: number } {
  return { p50Ms: latencies.percentile(50) / 1e6, p99Ms: latencies.percentile(99) / 1e6 }
}

function commandsOf(accounts: number, seed: number): NextCommand {
  const random = randomOf(seed)
  const accountIds = Array.from({ length: accounts }, (_, index) => accountIdOf(index))
  let sent = 0
  return () => {
    sent += 1
    const accountId = accountIds[Math.floor(random() * accounts)] as string
    const type = random() < 0.5 ? 'deposit' : 'withdraw'
    return { accountId, command: { type, amount: 1 + Math.floor(random() * 100), reference: referenceOf(sent) } }
  }
}

function accountIdOf(index: number): string {
  return `account-${String(index).padStart(4, '0')}`
}

function referenceOf(number: number): string {
  return `payment-${String(number).padStart(28, '0')}`
}

/** Numbers in [0, 1) by mulberry32: small, fast, and the same from the same seed everywhere. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
