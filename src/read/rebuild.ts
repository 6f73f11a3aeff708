/**
 * A generation that is being rebuilt, as it runs in one process beside the live one, and how it takes the live one's place:
 * once it has all that the live one has, both are held, and the record says that it is live. Until then it is nobody's
 * business; whoever comes between (it is aborted, somebody goes back, others are first) finds the record changed.
 */
import { reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { Bell } from './bell.ts'
import { generationOf, rebuildOf, withLive, withoutOlder, type Control } from './control.ts'
import type { Feeds } from './event-feed.ts'
import { comesLevel } from './level.ts'
import type { Projection } from './projection.ts'
import type { Projector } from './projector.ts'
import type { ReadModel } from './read-model.ts'

export interface RebuildOptions<Model> {
  readonly projection: Projection<Model>
  readonly readModel: ReadModel<Model>
  readonly feeds: Feeds
  readonly clock: Clock
  /** Rings whenever a lane that runs here has come further. */
  readonly changes: Bell
  readonly onWarning: (message: string) => void
  readonly live: () => Projector<Model>
  /** As it was known last. */
  readonly control: () => Control
  /** Of all who take part one swaps. Should two for a moment, they do the same. */
  readonly isSwapping: () => boolean
  /** Takes a step, and then follows. */
  readonly take: (step: (control: Control) => Control) => Promise<Control>
}

const POLL_MS = 50
const RETRY_MS = 1_000

export class Rebuild<Model> {
  readonly projector: Projector<Model>
  readonly #options: RebuildOptions<Model>
  /** Rings when it is over. */
  readonly #over = new Bell()
  #isOver = false
  #hasWarned = false

  constructor(projector: Projector<Model>, options: RebuildOptions<Model>) {
    this.projector = projector
    this.#options = options
    void this.#run()
  }

  get generation(): number {
    return this.projector.generation
  }

  /** It is not rebuilt here any more: it is live, or gone. Its lanes are left as they are. */
  leave(): void {
    this.#isOver = true
    this.#over.ring()
    this.#options.changes.ring()
  }

  async #run(): Promise<void> {
    const { clock, changes, onWarning } = this.#options
    while (!this.#isOver) {
      try {
        if (this.#mayTry && (await this.#comesLevel())) await this.#swap()
        if (!this.#isOver) await changes.rungWithin(clock, POLL_MS)
      } catch (error) {
        // It may have been left with a question on its way.
        if (this.#isOver) return
        onWarning(`generation ${this.generation} could not be swapped in, and will be again: ${reasonOf(error)}`)
        await this.#over.rungWithin(clock, RETRY_MS)
      }
    }
  }

  get #mayTry(): boolean {
    return !this.#isOver && this.#options.isSwapping() && !this.#options.control().isPaused
  }

  #comesLevel(): Promise<boolean> {
    const control = this.#options.control()
    const live = generationOf(control, control.live)!
    return comesLevel(this.projector, { ...this.#options, live, isOver: () => this.#isOver })
  }

  async #swap(): Promise<void> {
    if (await this.#isHeldBack()) return
    if (await this.#swapHeld()) await this.#options.take(withoutOlder)
  }

  /** Resolves to whether it is live. */
  async #swapHeld(): Promise<boolean> {
    const live = this.#options.live()
    // Else the live one would be ahead again by a batch, and queries would see less than before. Lanes of it that run
    // elsewhere are not held: they may be ahead by what they commit at this moment.
    live.hold('swapping')
    try {
      await live.settled()
      if (!(await this.#comesLevel())) return false
      this.projector.hold('swapping')
      await this.projector.settled()
      return this.#mayTry && !(await this.#isHeldBack()) && (await this.#goLive(live.generation))
    } finally {
      live.release('swapping')
      this.projector.release('swapping')
    }
  }

  /** Unless others have swapped, gone back, paused it or given it up meanwhile. */
  async #goLive(before: number): Promise<boolean> {
    const { generation } = this
    const { live } = await this.#options.take((control) => {
      const isAsBefore = control.live === before && rebuildOf(control)?.number === generation
      return isAsBefore && this.#mayTry && !control.isPaused ? withLive(control, generation) : control
    })
    return live === generation
  }

  /** It has parked events, and nobody has said that it may go live with them. */
  async #isHeldBack(): Promise<boolean> {
    const { readModel, control, onWarning } = this.#options
    if (rebuildOf(control())?.state === 'accepted') return false
    if ((await readModel.parkedStreams(this.generation)).size === 0) return false
    if (!this.#hasWarned) {
      this.#hasWarned = true
      onWarning(
        `generation ${this.generation} has caught up with parked events and does not go live by itself; retry or skip them, or promote it as it is`,
      )
    }
    return true
  }
}
