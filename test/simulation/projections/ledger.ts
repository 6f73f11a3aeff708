/**
 * The read model of the simulation: a row of all events that took effect, in the order in which they did, and what the
 * accounts come to by that.
 */
import { defineProjection, type Projection } from '../../../src/index.ts'
import type { Kernel } from '../../../src/testing/kernel.ts'
import type { MemoryModel } from '../../../src/read/memory-read-model.ts'
import type { ReadModelStore } from '../../../src/read/read-model.ts'
import { nameOf } from '../../checker/check-read-model.ts'
import { after, NOTHING, type Account, type View } from '../bank.ts'
import type { ProjectionSetup, Trouble } from './plan.ts'

/** Less than the server waits for a process. */
const HANDLER_MS = 300

export interface Effect {
  readonly stream: string
  readonly version: number
  readonly position: number
  readonly by: number
}

export interface Ledger {
  readonly row: Map<number, Effect>
  /** By event: its place in the row. */
  readonly events: Map<string, number>
  readonly accounts: Map<string, View>
  readonly about: Map<'generation', number>
  readonly [name: string]: Map<any, any>
}

export type LedgerModel = MemoryModel<Ledger>

export type LedgerProjection = Projection<LedgerModel>

/** Makes the generations of one projection, which know their numbers. */
export function createLedgers(): () => Ledger {
  let generation = 0
  return () => {
    generation += 1
    return { row: new Map(), events: new Map(), accounts: new Map(), about: new Map([['generation', generation]]) }
  }
}

/** Whose handlers fail, and for how long yet. */
export class Troubles {
  readonly #kernel: Kernel
  readonly #left = new Map<string, { readonly of: Trouble; times: number }>()

  /** For a projection that halts nothing lasts for ever: it would never come to an end. */
  constructor(troubles: readonly Trouble[], { onFailure }: Pick<ProjectionSetup, 'onFailure'>, kernel: Kernel) {
    this.#kernel = kernel
    for (const trouble of troubles) {
      const isLasting = trouble.times === 'for ever' && onFailure === 'halt'
      const of: Trouble = isLasting ? { ...trouble, times: 'until mended' } : trouble
      const times = typeof of.times === 'number' ? of.times : Number.POSITIVE_INFINITY
      this.#left.set(nameOf({ stream: `account/${of.account}`, version: of.version }), { of, times })
    }
  }

  /** All is mended but what cannot be. */
  mend(): void {
    for (const trouble of this.#left.values()) if (trouble.of.times !== 'for ever') trouble.times = 0
  }

  isForEver(name: string): boolean {
    return this.#left.get(name)?.of.times === 'for ever'
  }

  /**
   * Resolves where the event's handler is to go on after it hung, at this moment: before or after it has changed the model.
   * @throws Error where it is to fail
   */
  strike(name: string, isLate: boolean): Promise<void> | undefined {
    const trouble = this.#left.get(name)
    if (trouble === undefined || trouble.of.isLate !== isLate || trouble.times === 0) return
    trouble.times -= 1
    const { hangsMs } = trouble.of
    if (hangsMs !== undefined) return this.#kernel.sleep(hangsMs)
    throw new Error(`${name} cannot be handled`)
  }
}

export function createLedger(options: {
  readonly name: string
  readonly account: Account
  readonly setup: ProjectionSetup
  readonly troubles: Troubles
  readonly store: ReadModelStore<LedgerModel>
}): LedgerProjection {
  const { name, account, setup, troubles, store } = options
  const takeEffect = (
    { stream, version, position, type, data }: Omit<Effect, 'by'> & { type: string; data: { readonly by: number } },
    { row, events, accounts }: LedgerModel,
  ): unknown => {
    const event = nameOf({ stream, version })
    const change = (): Promise<void> | undefined => {
      events.set(event, row.size)
      row.set(row.size, { stream, version, position, by: data.by })
      accounts.set(stream, after(accounts.get(stream) ?? NOTHING, type, data))
      return troubles.strike(event, true)
    }
    const hung = troubles.strike(event, false)
    return hung === undefined ? change() : hung.then(change)
  }
  const on = { Deposited: takeEffect, Withdrawn: takeEffect, Noted: takeEffect }
  return defineProjection({ name, from: [account], store, handlerTimeoutMs: HANDLER_MS, ...setup, on })
}
