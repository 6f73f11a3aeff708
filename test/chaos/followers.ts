/**
 * People who read everything as it comes, each at one node, and go on at another, from where they were, when that has
 * ended. What they have heard is held against the log: every event that counts, each once, in the order of the log.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { SeededRandom } from '../../src/testing/random.ts'
import type { LoggedStreams } from '../checker/history.ts'
import type { Heard } from './message.ts'
import type { NodeProcess } from './node.ts'

const FOLLOWERS = 2
const BACK_OFF_MS = 100

export class Followers {
  readonly #serving: () => readonly NodeProcess[]
  readonly #random: SeededRandom
  readonly #heard: string[][] = Array.from({ length: FOLLOWERS }, () => [])
  readonly #problems: string[] = []

  constructor(seed: number, serving: () => readonly NodeProcess[], signal: AbortSignal) {
    this.#serving = serving
    this.#random = new SeededRandom(seed)
    for (const heard of this.#heard) void this.#live(heard, signal)
  }

  /** How many events all have heard of. */
  get events(): number {
    return Math.min(...this.#heard.map(({ length }) => length))
  }

  /** What is wrong with what they have heard, when all nodes have ended. */
  problems(log: LoggedStreams): string[] {
    const events = [...log].flatMap(([stream, ofStream]) => ofStream.map((event) => ({ stream, ...event })))
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

  async #live(heard: string[], signal: AbortSignal): Promise<void> {
    let after: string | undefined
    while (!signal.aborted) {
      const nodes = this.#serving()
      const node = nodes[this.#random.below(Math.max(1, nodes.length))]
      const failure = await node?.follow(after, (event) => {
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
