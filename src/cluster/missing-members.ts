/** Notices members that are gone and have not drained, so that those who stay behind say what they take over, and why. */
import type { Member, View } from './leases.ts'

export class MissingMembers {
  readonly #onWarning: (message: string) => void
  /** Who was there when the store was last asked, with as many shards. */
  #before: readonly { readonly member: Member; readonly shards: number }[] = []

  constructor(onWarning: (message: string) => void) {
    this.#onWarning = onWarning
  }

  /** A store that is settling may have forgotten whoever it does not name. */
  see({ members, leases, isSettling }: View): void {
    if (isSettling) return
    const there = new Set(members.map(({ id }) => id))
    for (const { member, shards } of this.#before) {
      if (there.has(member.id) || member.state === 'draining') continue
      this.#onWarning(
        `the node '${member.name}' at ${member.address} has gone without a word, with ${shards} shards: it has crashed, hangs, or does not reach the lease store. Others serve them from here on.`,
      )
    }
    const counts = Map.groupBy(leases, ({ member }) => member)
    this.#before = members.map((member) => ({ member, shards: counts.get(member.id)?.length ?? 0 }))
  }
}
