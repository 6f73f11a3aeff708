/** Notices members whose leases have run out, so that those who stay behind say what they take over, and why. */
import type { Member, View } from './leases.ts'

/** Who beats, about every third of the ttl, has more left of it; who leaves has handed over or given up what it had. */
const SILENT_SHARE = 1 / 2

interface Seen {
  readonly member: Member
  readonly shards: number
  /** It had not been heard for a while. */
  readonly isSilent: boolean
}

export class MissingMembers {
  readonly #ttlMs: number
  readonly #onWarning: (message: string) => void
  /** Who had shards when the store was last asked. */
  #before: readonly Seen[] = []

  constructor(ttlMs: number, onWarning: (message: string) => void) {
    this.#ttlMs = ttlMs
    this.#onWarning = onWarning
  }

  /** A store that is settling may have forgotten whoever it does not name. */
  see({ members, leases, isSettling }: View): void {
    if (isSettling) return
    const there = new Set(members.map(({ id }) => id))
    for (const { member, shards, isSilent } of this.#before) {
      if (there.has(member.id) || !isSilent) continue
      this.#onWarning(
        `the node '${member.name}' at ${member.address} has gone without a word, with ${shards} shards: it has crashed, hangs, or does not reach the lease store. Others serve them from here on.`,
      )
    }
    const held = Map.groupBy(leases, ({ member }) => member)
    this.#before = members.flatMap((member): Seen[] => {
      const own = held.get(member.id)
      if (own === undefined) return []
      const leftMs = Math.max(...own.map(({ remainingMs }) => remainingMs))
      return [{ member, shards: own.length, isSilent: leftMs < this.#ttlMs * SILENT_SHARE }]
    })
  }
}
