/** Who reads everything, or the events of one type, while nodes come and go, and goes on from where they had come to. */
import { PenholdError } from '../../../src/index.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import type { House } from './house.ts'
import { nameOf } from './look.ts'

const BACK_OFF_MS = 100

export class Reader {
  readonly #house: House
  readonly #type: string | undefined
  readonly heard: string[] = []
  readonly problems: string[] = []
  #after: string | undefined
  #isEnded = false

  constructor(house: House, type?: string) {
    this.#house = house
    this.#type = type
  }

  end(): void {
    this.#isEnded = true
  }

  async live(): Promise<void> {
    const { kernel } = this.#house
    while (!this.#isEnded) {
      const { node } = this.#house
      if (node !== undefined && !node.isDead) await this.#read(node)
      await kernel.sleep(BACK_OFF_MS)
    }
  }

  /** Resolves when the node has ended, or says that it cannot read on. */
  #read(node: SimulatedNode): Promise<void> {
    const stop = new AbortController()
    const options = {
      signal: stop.signal,
      ...(this.#after !== undefined && { after: this.#after }),
      ...(this.#type !== undefined && { filter: { types: [this.#type] } }),
    }
    return new Promise((resolve) => {
      node.onDead(() => {
        stop.abort()
        resolve()
      })
      const read = async (): Promise<void> => {
        try {
          for await (const event of node.running.store.subscribe(options)) {
            if (stop.signal.aborted || this.#isEnded) return
            this.#after = event.place
            this.heard.push(nameOf(event))
          }
        } catch (error) {
          if (!(error instanceof PenholdError) || error.code === 'PlaceAhead') {
            this.problems.push(`a reader was told: ${String(error)}`)
          }
        }
      }
      node.main.run(() => void read().then(resolve))
    })
  }
}
