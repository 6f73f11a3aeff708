/**
 * People who read everything as it comes, and go on, from where they were, when what they read by has ended: for some a
 * node, for others a client in the process of a node, which reads from any of them. What they have heard is held against
 * the log: every event that counts, each once, in the order of the log.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { isInternal } from '../../src/log/stream.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import type { LoggedStreams } from '../checker/history.ts'
import type { Heard } from './message.ts'
import type { NodeProcess } from './node.ts'

const FOLLOWERS = 3
const BACK_OFF_MS = 100

export class Followers {
  readonly #serving: () => readonly NodeProcess[]
  readonly #random: SeededRandom
  readonly #heard: string[][] = Array.from({ length: FOLLOWERS }, () => [])
  readonly #problems: string[] = []

  constructor(seed: number, serving: () => readonly NodeProcess[], signal: AbortSignal) {
    this.#serving = serving
    this.#random = new SeededRandom(seed)
    for (const [i, heard] of this.#heard.entries()) void this.#live(heard, { isClient: i % 2 === 1, signal })
  }

  /** How many events all have heard of. */
  get events(): number {
    return Math.min(...this.#heard.map(({ length }) => length))
  }

  /** What is wrong with what they have heard, when all nodes have ended. */
  problems(log: LoggedStreams): string[] {
    const own = [...log].filter(([stream]) => !isInternal(stream))
    const events = own.flatMap(([stream, ofStream]) => ofStream.map((event) => ({ stream, ...event })))
    const order = events.toSorted((a, b) => a.position - b.position || a.shard - b.shard)
    const names = order.map(({ stream, version }) => nameOf({ stream, version }))
    const problems = this.#problems.splice(0)
    for (const [follower, heard] of this.#heard.entries()) {
      const at = heard.findIndex((name, i) => name !== names[i])
      if (at >= 0)
        problems.push(`follower ${follower} has heard ${heard[at]} as event ${at + 1}, which is ${names[at]}`)
    }
    return problems
  }

  async #live(
    heard: string[],
    { isClient, signal }: { readonly isClient: boolean; readonly signal: AbortSignal },
  ): Promise<void> {
    let after: string | undefined
    while (!signal.aborted) {
      const nodes = this.#serving()
      const node = nodes[this.#random.below(Math.max(1, nodes.length))]
      const failure = await node?.follow({ after, isClient }, (event) => {
        after = event.place
        heard.push(nameOf(event))
      })
      if (failure !== undefined) this.#problems.push(`a follower was told: ${failure}`)
      await delay(BACK_OFF_MS, undefined, { signal }).catch(() => undefined)
    }
  }
}

function nameOf({ stream, version }: Pick<Heard, 'stream' | 'version'>): string {
  return `${stream}@${version}`
}
