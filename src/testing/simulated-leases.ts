/**
 * A lease store that cannot be trusted: it says who may try to own something, for a time, and can be made to forget, to
 * hang, and to grant twice. What holds must hold whatever it does (I1).
 */
import type { Kernel } from './kernel.ts'

interface Lease {
  readonly holder: string
  readonly untilMs: number
}

export class SimulatedLeases {
  readonly #kernel: Kernel
  readonly #leases = new Map<string, Lease>()
  #hangsUntilMs = 0
  #grantsTwice = 0

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** Takes or renews a lease. Resolves to whether `holder` has it now. */
  async acquire(key: string, holder: string, ttlMs: number): Promise<boolean> {
    await this.#kernel.sleep(1)
    if (this.#hangsUntilMs > this.#kernel.now) await this.#kernel.sleep(this.#hangsUntilMs - this.#kernel.now)
    const lease = this.#leases.get(key)
    if (lease !== undefined && lease.holder !== holder && lease.untilMs > this.#kernel.now) {
      if (this.#grantsTwice === 0) return false
      this.#grantsTwice -= 1
    }
    this.#leases.set(key, { holder, untilMs: this.#kernel.now + ttlMs })
    return true
  }

  /** Everything is gone, as after a flush or a fail-over to a copy that lagged. */
  forget(): void {
    this.#leases.clear()
  }

  hang(forMs: number): void {
    this.#hangsUntilMs = this.#kernel.now + forMs
  }

  /** The next who asks is granted what another holds. */
  grantTwice(): void {
    this.#grantsTwice += 1
  }
}
