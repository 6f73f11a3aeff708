/** Asks the workers of a peer, over its connection for control, how far their journals are. */
import type { Clock } from '../log/clock.ts'
import type { KnownTail, Tail, TailSource } from '../log/tail.ts'
import type { ControlMessage, TailAnswer } from './control.ts'

/** The version of the protocol that has the question. */
export const TAILS_SINCE = 3
/** What an answer may take beyond the time that the question gives it. */
const GRACE_MS = 1_000

export interface TailAskerOptions {
  readonly clock: Clock
  readonly workers: number
  /** Returns whether the peer can be told something now, and knows the question. */
  readonly tell: (message: ControlMessage) => boolean
}

export class TailAsker {
  /** By worker. */
  readonly sources: readonly TailSource[]
  readonly #options: TailAskerOptions
  readonly #waiting = new Map<number, (tail: Tail | undefined) => void>()
  #last = 0

  constructor(options: TailAskerOptions) {
    this.#options = options
    this.sources = Array.from({ length: options.workers }, (_, worker) => ({
      nextTail: (known, ms) => this.#ask({ worker, above: 0, ms, known }),
      tailAbove: (position) => this.#ask({ worker, above: position, ms: 0, known: undefined }),
    }))
  }

  answered({ request, tail }: TailAnswer): void {
    this.#waiting.get(request)?.(tail)
  }

  /** The connection has ended: what was asked over it nobody answers. */
  ended(): void {
    for (const answer of this.#waiting.values()) answer(undefined)
  }

  #ask(question: {
    readonly worker: number
    readonly above: number
    readonly ms: number
    readonly known: KnownTail | undefined
  }): Promise<Tail | undefined> {
    this.#last += 1
    const request = this.#last
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(question.ms + GRACE_MS, () => answer(undefined))
      const answer = (tail: Tail | undefined): void => {
        cancel()
        this.#waiting.delete(request)
        resolve(tail)
      }
      this.#waiting.set(request, answer)
      if (!this.#options.tell({ kind: 'tail', request, ...question })) answer(undefined)
    })
  }
}
