/**
 * A synchronous reactor in a simulated cluster, which stamps each event of an account. Whoever is told that nothing is unsettled finds
 * the stamp there; in the end each event was stamped once, in order.
 */
import { defineAggregate, defineReactor, type Reactor } from '../../../src/index.ts'
import type { StreamPlacement } from '../../../src/log/stream.ts'
import { CONSUMER } from '../../../src/react/consumer-record.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import type { LoggedStreams } from '../../checker/history.ts'
import type { Account } from '../bank.ts'
import type { Attempt } from '../history.ts'
import type { Reacting, ReactorTrouble } from './plan.ts'
import { inShard } from './timed.ts'

export const Stamp = defineAggregate({
  type: 'stamp',
  initialState: () => 0,
  events: { Stamped: (count, _event: { of: number }) => count + 1 },
  commands: { stamp: (_count, { of }: { of: number }, { emit }) => emit.Stamped({ of }) },
})

export const STAMPS = 'stamps'
/** So long a reply waits for a stamp, at most. */
export const STAMP_MS = 300

/** At all nodes of a cluster. */
export class Stamping {
  readonly #account: Account
  readonly #plan: Reacting
  /** Events whose stamp is durable. */
  readonly #stamped = new Set<string>()
  /** By trouble, how often it comes yet. */
  readonly #left: Map<ReactorTrouble, number>
  /** Who was told that all is done when it was not. */
  readonly #problems: string[] = []

  constructor(account: Account, plan: Reacting) {
    this.#account = account
    this.#plan = plan
    this.#left = new Map(plan.troubles.map((trouble) => [trouble, timesOf(trouble)]))
  }

  /** As a node has it whose main thread this is. */
  at(main: SimulatedThread): Reactor {
    const stamp: Reactor['on'][string] = async ({ stream, version }, { ask }) => {
      const troubles = this.#plan.troubles.filter(
        (each) => nameOf(each.account, each.version) === `${stream}/${version}`,
      )
      for (const trouble of troubles) if (!trouble.isLate) await this.#strike(trouble, main)
      await ask(Stamp, stream.slice('account/'.length), 'stamp', { of: version })
      this.#stamped.add(`${stream}/${version}`)
      for (const trouble of troubles) if (trouble.isLate) await this.#strike(trouble, main)
    }
    const { onFailure, retries, concurrency } = this.#plan
    return defineReactor({
      name: STAMPS,
      from: [this.#account],
      startAt: 'beginning',
      mode: 'synchronous',
      on: { Deposited: stamp, Withdrawn: stamp, Noted: stamp },
      onFailure,
      retries,
      concurrency,
      handlerTimeoutMs: STAMP_MS,
    })
  }

  heal(): void {
    this.#left.clear()
  }

  /** A client has its outcome, now. */
  told({ stream, events, outcome }: Attempt): void {
    if (outcome.kind !== 'accepted' || !outcome.isSettled) return
    for (let version = outcome.version - events + 1; version <= outcome.version; version += 1) {
      if (this.#stamped.has(`${stream}/${version}`)) continue
      this.#problems.push(`whoever was told that all is settled finds no stamp for version ${version} of ${stream}`)
    }
  }

  /** What was wrong, in words. `stamps`: by stream, what its events have in their data. */
  broken(log: LoggedStreams, stamps: ReadonlyMap<string, readonly unknown[]>): string[] {
    const wrong = [...log].flatMap(([stream, events]) => {
      const data = (stamps.get(`stamp/${idOf(stream)}`) ?? []) as readonly { readonly of: number }[]
      const [have, wanted] = [data.map(({ of }) => of).join(), events.map(({ version }) => version).join()]
      return have === wanted ? [] : [`of ${stream} were stamped ${have}, and there are ${wanted}`]
    })
    return [...this.#problems, ...wrong]
  }

  async #strike(trouble: ReactorTrouble, main: SimulatedThread): Promise<void> {
    const left = this.#left.get(trouble) ?? 0
    if (left === 0) return
    this.#left.set(trouble, left - 1)
    const { account, version, hangsMs } = trouble
    if (hangsMs === undefined) throw new Error(`${nameOf(account, version)} cannot be stamped`)
    await new Promise<void>((resolve) => main.after(hangsMs, resolve))
  }
}

/** What the log has of it. */
export function stampStreams(placement: StreamPlacement, log: LoggedStreams): readonly string[] {
  const shards = Array.from({ length: placement.shards }, (_, shard) => shard)
  const records = shards.map((shard) => inShard(placement, shard, `${CONSUMER}/reactor:${STAMPS}`))
  return [...records, ...[...log.keys()].map((stream) => `stamp/${idOf(stream)}`)]
}

/** Whether all events were stamped. */
export async function isStamped({ running }: SimulatedNode, accounts: number): Promise<boolean> {
  for (let id = 0; id < accounts; id += 1) {
    const { length } = await Array.fromAsync(running.store.load(`account/${id}`))
    if ((await running.ref(Stamp, String(id)).state()) < length) return false
  }
  return true
}

function timesOf({ times }: ReactorTrouble): number {
  return times === 'until mended' ? Number.POSITIVE_INFINITY : times
}

function nameOf(account: number, version: number): string {
  return `account/${account}/${version}`
}

function idOf(stream: string): string {
  return stream.slice(stream.indexOf('/') + 1)
}
