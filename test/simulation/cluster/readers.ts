/**
 * People who read everything, each at one place's nodes, from where they had come to when their node ended. What they must
 * see in the end: all events that count, each once, in the order of the log (I4, I6).
 */
import { PenholdError } from '../../../src/index.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { LoggedStreams } from '../../checker/history.ts'

interface Heard {
  readonly stream: string
  readonly version: number
}

const BACK_OFF_MS = 50

export class Readers {
  readonly #cluster: SimulatedCluster
  readonly #heard: Heard[][]
  readonly #errors: string[] = []

  constructor(cluster: SimulatedCluster, count: number) {
    this.#cluster = cluster
    this.#heard = Array.from({ length: count }, () => [])
  }

  start(): void {
    for (const [reader, heard] of this.#heard.entries()) void this.#live(reader, heard)
  }

  /** How many events there are, as a node says; 0 where nobody reads. Rejects where the node cannot read them. */
  async count(): Promise<number> {
    const [node] = this.#cluster.nodes
    if (this.#heard.length === 0 || node === undefined) return 0
    return new Promise((resolve, reject) => {
      node.main.run(() => {
        Array.fromAsync(node.running.store.readAll()).then(({ length }) => resolve(length), reject)
      })
    })
  }

  /** Whether all have heard so many. */
  haveHeard(events: number): boolean {
    return this.#heard.every(({ length }) => length >= events)
  }

  get counts(): string {
    return this.#heard.map(({ length }) => length).join(', ')
  }

  /** What is wrong with what they have heard. */
  broken(log: LoggedStreams): string[] {
    const events = [...log].flatMap(([stream, ofStream]) => ofStream.map((event) => ({ stream, ...event })))
    const order = events.toSorted((a, b) => a.position - b.position || a.shard - b.shard)
    const names = order.map(({ stream, version }) => `${stream}@${version}`)
    const problems = [...this.#errors]
    for (const [reader, heard] of this.#heard.entries()) {
      const told = heard.map(({ stream, version }) => `${stream}@${version}`)
      const at = names.findIndex((name, i) => name !== told[i])
      if (at >= 0) problems.push(`reader ${reader} has ${told[at]} as event ${at + 1}, which is ${names[at]}`)
      else if (told.length > names.length)
        problems.push(`reader ${reader} has ${told[names.length]}, which does not count`)
    }
    return problems
  }

  async #live(reader: number, heard: Heard[]): Promise<void> {
    const { kernel } = this.#cluster
    let after: string | undefined
    for (;;) {
      const { nodes } = this.#cluster
      const node = nodes[reader % Math.max(1, nodes.length)]
      if (node !== undefined && !node.isDead) {
        await this.#read(node, after, ({ place, ...event }) => {
          after = place
          heard.push(event)
        })
      }
      await kernel.sleep(BACK_OFF_MS)
    }
  }

  /** Resolves when the node has ended, or says that it cannot read on. */
  #read(
    node: SimulatedNode,
    after: string | undefined,
    hear: (event: Heard & { place: string }) => void,
  ): Promise<void> {
    const stop = new AbortController()
    const options = { signal: stop.signal, ...(after === undefined ? {} : { after }) }
    return new Promise((resolve) => {
      node.onDead(() => {
        // A dead node says nothing more, though its promises may still be kept.
        stop.abort()
        resolve()
      })
      const read = async (): Promise<void> => {
        try {
          for await (const { stream, version, place } of node.running.store.subscribe(options)) {
            if (stop.signal.aborted) return
            hear({ stream, version, place })
          }
        } catch (error) {
          if (!(error instanceof PenholdError) || error.code === 'LogCorrupt' || error.code === 'PlaceAhead') {
            this.#errors.push(`a reader was told: ${String(error)}`)
          }
        }
      }
      node.main.run(() => void read().then(resolve))
    })
  }
}
