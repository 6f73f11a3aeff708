/** Who should own what, as the node sees it, and to whom of them something can be given. */
import type { Clock } from '../log/clock.ts'
import { assign } from './assignment.ts'
import type { Member, View } from './leases.ts'
import { parseOwner, type Owner } from './owner-name.ts'

export interface HeirsOptions {
  readonly clock: Clock
  readonly shards: number
  /** Every node has beaten meanwhile, and so has heard of a member that is known for so long, and called it. */
  readonly knownMs: number
}

interface Ring {
  /** What it was computed of. */
  readonly view: View
  readonly about: string
  readonly owners: readonly Owner[] | undefined
}

export class Heirs {
  readonly #options: HeirsOptions
  /** Since when each member is known, on the monotonic clock. */
  #knownSince: ReadonlyMap<string, number> = new Map()
  #last: Ring | undefined

  constructor(options: HeirsOptions) {
    this.#options = options
  }

  /** These are the members now. */
  see({ members }: View): void {
    const now = this.#options.clock.monotonic()
    this.#knownSince = new Map(members.map(({ id }) => [id, this.#knownSince.get(id) ?? now]))
  }

  /**
   * Whether everybody can ask a member. What it is given before is out of reach of those who have not heard of it: for a
   * beat, or for as long as the store is away.
   */
  isKnown(member: string): boolean {
    const { clock, knownMs } = this.#options
    return clock.monotonic() - (this.#knownSince.get(member) ?? Number.POSITIVE_INFINITY) >= knownMs
  }

  /** The owner that each shard should have; undefined where nobody wants any. `self` is this node as it is now. */
  ring(view: View, self: Member): readonly Owner[] | undefined {
    // Each shard that arrives somewhere lets the next one leave, and with thousands of shards a ring takes its time.
    const about = JSON.stringify(self)
    if (this.#last?.view !== view || this.#last.about !== about) {
      const members = view.members.map((member) => (member.id === self.id ? self : member))
      const names = assign(members, view.leases, this.#options.shards)
      const owners = new Map([...new Set(names)].map((name) => [name, parseOwner(name)]))
      this.#last = { view, about, owners: names?.map((name) => owners.get(name)!) }
    }
    return this.#last.owners
  }
}
