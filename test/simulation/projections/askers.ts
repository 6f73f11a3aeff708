/** People who ask read models for what they were told has happened: at any node, the answer shows it (read your writes). */
import { PenholdError } from '../../../src/index.ts'
import type { SeededRandom } from '../../../src/testing/random.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import { nameOf } from '../../checker/check-read-model.ts'
import type { Attempt } from '../history.ts'
import type { Charge } from './operators.ts'

const PATIENCE_MS = 3_000

export class Askers {
  readonly problems: string[] = []
  /** How often an answer has come. */
  answers = 0
  readonly #cluster: SimulatedCluster
  readonly #charges: readonly Charge[]
  readonly #random: SeededRandom
  readonly #asksEvery: number
  #told: Attempt | undefined

  constructor(
    cluster: SimulatedCluster,
    charges: readonly Charge[],
    { random, asksEvery }: { readonly random: SeededRandom; readonly asksEvery: number },
  ) {
    this.#cluster = cluster
    this.#charges = charges
    this.#random = random
    this.#asksEvery = asksEvery
  }

  /** Somebody was told of a command's outcome; some of them ask. */
  told(attempt: Attempt): void {
    if (attempt.outcome.kind !== 'accepted' || attempt.events === 0) return
    this.#told = attempt
    if (this.#random.below(this.#asksEvery) > 0) return
    const node = this.#cluster.pick(this.#random)
    const charge = this.#charges[this.#random.below(this.#charges.length)]!
    if (node !== undefined) void this.#ask(node, charge, attempt)
  }

  /** Resolves once every node has answered for each projection, to those that have not. */
  async last(): Promise<readonly string[]> {
    const told = this.#told
    if (told === undefined) return []
    const asked = this.#cluster.nodes.flatMap((node, i) =>
      this.#charges.map(async (charge) => {
        const error = await this.#ask(node, charge, told)
        return error === undefined ? [] : [`in peace node ${i} says of ${charge.projection.name}: ${error}`]
      }),
    )
    return (await Promise.all(asked)).flat()
  }

  /** Resolves to the node's words where it has no answer. */
  #ask(node: SimulatedNode, charge: Charge, { stream, outcome }: Attempt): Promise<string | undefined> {
    if (outcome.kind !== 'accepted') return Promise.resolve(undefined)
    const { version, position } = outcome
    const { projection, witness } = charge
    const name = nameOf({ stream, version })
    return new Promise((resolve) => {
      node.onDead(() => resolve('it has died'))
      const ask = async (): Promise<string | undefined> => {
        try {
          const options = { after: position, timeoutMs: PATIENCE_MS }
          const unseen = await node.running.projection(projection).query(({ events, about }) => {
            const generation = about.get('generation')!
            return events.has(name) || witness.isExcused(generation, name) ? undefined : generation
          }, options)
          this.answers += 1
          if (unseen === undefined) return undefined
          this.problems.push(
            `projection ${projection.name}, generation ${unseen}: a query behind position ${position} does not see ${name}`,
          )
        } catch (error) {
          if (!(error instanceof PenholdError)) this.problems.push(`whoever asked was told: ${String(error)}`)
          return String(error)
        }
      }
      node.main.run(() => void ask().then(resolve))
    })
  }
}
