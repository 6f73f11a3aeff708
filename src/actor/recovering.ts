/**
 * Bringing actors to life, and back to it: from the log to the state, and to the window of remembered commands. The
 * worker is told when one runs, or why it cannot.
 */
import type { Log } from '../log/log.ts'
import type { Actor } from './actor.ts'
import type { Committer } from './committer.ts'
import { readWindow, windowFor } from './dedupe-window.ts'
import { fits } from './kind.ts'
import type { ActorLimits } from './limits.ts'
import type { Progress } from './progress.ts'

export interface RecoveringOptions {
  readonly log: Log
  readonly committer: Committer
  readonly limits: ActorLimits
  readonly progress: Progress
  /** It is alive, and its mailbox is to be taken up. */
  readonly onAlive: (actor: Actor) => void
  readonly onRefused: (actor: Actor, error: unknown) => void
}

export class Recovering {
  readonly #options: RecoveringOptions

  constructor(options: RecoveringOptions) {
    this.#options = options
  }

  /** Brings it to the state that the log has of it. */
  recover(actor: Actor): void {
    void this.#during(actor, () => this.#read(actor))
  }

  /** A handler failed and may have changed the state it was given: the actor goes back to what the log says. Its window is none of that. */
  reload(actor: Actor): void {
    actor.phase = 'recovering'
    void this.#during(actor, async () => {
      await this.#options.committer.written(actor)
      await this.#read(actor)
    })
  }

  /** Reads the window of commands that its mailbox needs. */
  recoverWindow(actor: Actor): void {
    const { log, committer, limits } = this.#options
    actor.phase = 'recovering'
    void this.#during(actor, async () => {
      // What is not durable yet is not in the log yet.
      await committer.written(actor)
      actor.window = await readWindow(log.back(actor.stream), windowFor(actor.mailbox, limits))
    })
  }

  async #during(actor: Actor, work: () => Promise<void>): Promise<void> {
    const { onAlive, onRefused } = this.#options
    try {
      await work()
      onAlive(actor)
    } catch (error) {
      onRefused(actor, error)
    }
  }

  async #read(actor: Actor): Promise<void> {
    const { log, progress, limits } = this.#options
    const { kind, stream } = actor
    const tail = await log.tail(stream, (snapshot) => fits(kind, snapshot))
    this.#enterFor(actor)
    try {
      const recovered = kind.recover(stream, tail, () => this.#enterFor(actor))
      Object.assign(actor, recovered)
    } finally {
      progress.leave()
    }
    // All of the stream is at hand: it need not be read again for the window.
    const isWhole = tail.snapshot === undefined
    if (isWhole && actor.mailbox.some(({ message }) => message.kind === 'command' && !message.isFresh)) {
      actor.window = await readWindow(tail.events.toReversed(), windowFor(actor.mailbox, limits))
    }
  }

  /** Recovery runs users' evolve functions: what is stuck there is stuck for the first who waits. */
  #enterFor(actor: Actor): void {
    const [first] = actor.mailbox
    if (first !== undefined) this.#options.progress.enter(first.sender, first.message)
  }
}
