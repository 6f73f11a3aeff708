/**
 * A ledger adds up a store's events, account by account, in the order of their versions. It refuses a history that no
 * correct store can hold: a version missing or twice, or a balance below zero.
 */
import assert from 'node:assert/strict'

import { evolve, unopenedAccount, type Account, type AccountEvent } from './bank-account.ts'

export type StoredEvent = { readonly accountId: string; readonly version: number; readonly event: AccountEvent }

export class Ledger {
  readonly #accounts = new Map<string, Account & { readonly version: number }>()
  #events = 0

  get events(): number {
    return this.#events
  }

  add({ accountId, version, event }: StoredEvent): void {
    const account = this.#accounts.get(accountId) ?? { ...unopenedAccount, version: 0 }
    assert.equal(version, account.version + 1, `The versions of ${accountId} have a gap or a repetition`)
    const next = evolve(account, event)
    assert.ok(next.balance >= 0, `${accountId} is overdrawn at version ${version}: ${next.balance}`)
    this.#accounts.set(accountId, { ...next, version })
    this.#events += 1
  }

  balances(): Map<string, number> {
    return new Map([...this.#accounts].map(([accountId, { balance }]) => [accountId, balance]))
  }
}
