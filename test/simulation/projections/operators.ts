/** People who look after the projections of a simulated cluster: what they do is done at a node, as they would do it. */
import { PenholdError } from '../../../src/index.ts'
import type { ProjectionRef } from '../../../src/node/projections.ts'
import type { ProjectionStatus } from '../../../src/read/projection-status.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import { nameOf } from '../../checker/check-read-model.ts'
import type { LedgerModel, LedgerProjection, Troubles } from './ledger.ts'
import type { Deed } from './plan.ts'
import type { Witness } from './witness.ts'

/** A projection, with those who know about it. */
export interface Charge {
  readonly projection: LedgerProjection
  readonly troubles: Troubles
  readonly witness: Witness
}

type LedgerRef = ProjectionRef<LedgerModel>

const LOOK_MS = 250

export class Operators {
  readonly problems: string[] = []
  readonly #cluster: SimulatedCluster
  readonly #charges: readonly Charge[]
  /** Those who wait for a rebuild to end. */
  #waiting = 0

  constructor(cluster: SimulatedCluster, charges: readonly Charge[]) {
    this.#cluster = cluster
    this.#charges = charges
  }

  schedule(deeds: readonly Deed[]): void {
    for (const deed of deeds) {
      this.#cluster.kernel.after(deed.atMs, () => {
        const { nodes } = this.#cluster
        const some = deed.node === 'all' ? nodes : nodes.slice(deed.node % Math.max(1, nodes.length)).slice(0, 1)
        const charge = this.#charges[deed.projection % this.#charges.length]!
        for (const node of some) void this.#attempt(node, charge, (ref) => this.#do(deed, { node, charge, ref }))
      })
    }
  }

  /**
   * Once all works again: mends what can be, goes on with what was left undone, and retries what is parked, until each
   * projection has all that the log has. Resolves then.
   */
  async bringToAnEnd(): Promise<void> {
    for (const { troubles } of this.#charges) troubles.mend()
    for (const charge of this.#charges) {
      for (const node of this.#cluster.nodes) await this.#attempt(node, charge, (ref) => ref.resume())
    }
    for (const charge of this.#charges) while (!(await this.#isAtEnd(charge))) await this.#cluster.kernel.sleep(LOOK_MS)
    while (this.#waiting > 0) await this.#cluster.kernel.sleep(LOOK_MS)
  }

  /** How each is, at each node. */
  async describe(): Promise<string> {
    const texts = this.#charges.flatMap((charge) =>
      this.#cluster.nodes.map(async (node) => JSON.stringify(await this.#status(node, charge))),
    )
    return `${this.#waiting} wait for a rebuild to end; ${(await Promise.all(texts)).join('; ')}`
  }

  /** Whether all nodes that run it are done; each that is not goes on. */
  async #isAtEnd(charge: Charge): Promise<boolean> {
    let lanes = 0
    let areDone = true
    // Also of those behind one that is not: it may wait for what has halted at another.
    for (const node of this.#cluster.nodes) {
      const status = await this.#status(node, charge)
      const runs = status?.lanes.length ?? 0
      lanes += runs
      if (status === undefined || (runs > 0 && !(await this.#isDone(node, charge, status)))) areDone = false
    }
    return areDone && lanes > 0
  }

  async #isDone(node: SimulatedNode, charge: Charge, status: ProjectionStatus): Promise<boolean> {
    const { witness, troubles } = charge
    const { state, generation, rebuild, unfinished } = status
    if (unfinished !== undefined) await this.#attempt(node, charge, (ref) => ref.resumeRebuild())
    if (state === 'halted' || rebuild?.state === 'halted') await this.#attempt(node, charge, (ref) => ref.resume())
    if (rebuild?.isHeldBack === true) {
      witness.allows('parked events')
      await this.#attempt(node, charge, (ref) => ref.promote())
    }
    const isLive = generation === witness.live && rebuild === undefined && unfinished === undefined
    if (state !== 'caught up' || !isLive) return false
    const failed = await this.#attempt(node, charge, (ref) => retryAll(ref))
    for (const event of failed ?? []) {
      if (!troubles.isForEver(event)) this.problems.push(`${event} stays parked, and nothing is wrong with it any more`)
    }
    return failed !== undefined
  }

  async #do(
    { does, account, isOfRebuild }: Deed,
    { node, charge, ref }: { readonly node: SimulatedNode; readonly charge: Charge; readonly ref: LedgerRef },
  ): Promise<unknown> {
    const { witness, troubles } = charge
    const which = { generation: isOfRebuild ? 'rebuild' : 'live' } as const
    const stream = `account/${account}`
    switch (does) {
      case 'pause':
        witness.pauses(node.main)
        await ref.pause()
        return witness.paused(node.main, this.#cluster.kernel.now)
      case 'resume':
        return await ref.resume()
      case 'rebuild':
        return await this.#awaitRebuild(node, ref, await ref.rebuild())
      case 'resume-rebuild':
        return await this.#awaitRebuild(node, ref, await ref.resumeRebuild())
      case 'abort-rebuild':
        return await ref.abortRebuild()
      case 'promote':
        witness.allows('parked events')
        return await ref.promote()
      case 'roll-back':
        witness.allows('going back')
        return await ref.rollBack()
      case 'retry':
        return await ref.retryParked(stream, which)
      case 'skip': {
        const [first] = await ref.parked({ stream, limit: 1, ...which })
        if (first === undefined) return
        witness.skips(nameOf(first))
        return await ref.skipParked({ stream, version: first.version, reason: 'by hand' }, which)
      }
      case 'mend':
        return troubles.mend()
    }
  }

  /** Whoever waits for it learns of its end, while their node lives. */
  async #awaitRebuild(node: SimulatedNode, ref: LedgerRef, generation: number): Promise<void> {
    let isWaiting = true
    const stopWaiting = (): void => {
      if (isWaiting) this.#waiting -= 1
      isWaiting = false
    }
    this.#waiting += 1
    node.onDead(stopWaiting)
    await ref.rebuilt(generation).finally(stopWaiting)
  }

  #status(node: SimulatedNode, charge: Charge): Promise<ProjectionStatus | undefined> {
    return this.#attempt(node, charge, (ref) => ref.status())
  }

  /** Undefined where the node dies, or says that it cannot be done. */
  #attempt<Result>(
    node: SimulatedNode,
    { projection }: Charge,
    work: (ref: LedgerRef) => Promise<Result>,
  ): Promise<Result | undefined> {
    return new Promise((resolve) => {
      node.onDead(() => resolve(undefined))
      node.main.run(() => {
        work(node.running.projection(projection)).then(resolve, (error: unknown) => {
          const isTold = error instanceof PenholdError || (error instanceof Error && isForNow(error))
          if (!isTold) this.problems.push(`an operator was told: ${String(error)}`)
          resolve(undefined)
        })
      })
    })
  }
}

/** What says that it may be tried again: somebody else runs the lane, or a shard has no owner. */
function isForNow({ name, message }: Error): boolean {
  return name === 'LaneMoved' || message.startsWith("the log's end is not known")
}

/** Resolves to the events that have failed again, of those that are this node's to handle. */
async function retryAll(ref: LedgerRef): Promise<readonly string[]> {
  const parked = await ref.parked({ limit: 1_000 })
  const failed: string[] = []
  for (const stream of new Set(parked.map((event) => event.stream))) {
    try {
      const retried = await ref.retryParked(stream)
      if (retried.failed !== undefined) failed.push(nameOf({ stream, version: retried.failed.version }))
    } catch (error) {
      const isElsewhere = error instanceof PenholdError && error.code === 'ProjectionState'
      if (!isElsewhere) throw error
    }
  }
  return failed
}
