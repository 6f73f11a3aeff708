/** The projections of a simulated cluster, with their stores, those who look after them, and those who ask them. */
import { SeededRandom } from '../../../src/testing/random.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { NodeParts } from '../../../src/testing/simulated-node.ts'
import { SimulatedReadModels } from '../../../src/testing/simulated-read-models.ts'
import type { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import type { Account } from '../bank.ts'
import type { Found } from '../ground-truth.ts'
import type { Attempt } from '../history.ts'
import { Askers } from './askers.ts'
import { createLedger, createLedgers, Troubles, type Ledger } from './ledger.ts'
import { Operators, type Charge } from './operators.ts'
import type { Projecting, ProjectionSetup } from './plan.ts'
import { Witness } from './witness.ts'

/** Once all works again each projection has everything within this time. */
const END_MS = 90_000
const ANSWERS_MS = 10_000

/** A projection with the server that has its read model. */
interface Kept extends Charge {
  readonly models: SimulatedReadModels<Ledger>
  readonly setup: ProjectionSetup
}

export class ProjectionParty {
  readonly #cluster: SimulatedCluster
  readonly #account: Account
  readonly #kept: readonly Kept[]
  readonly #operators: Operators
  readonly #askers: Askers
  #losesPowerAt: number

  constructor(cluster: SimulatedCluster, account: Account, plan: Projecting) {
    this.#cluster = cluster
    this.#account = account
    const random = new SeededRandom(cluster.random.next())
    this.#losesPowerAt = plan.losesPowerAt ?? Number.POSITIVE_INFINITY
    this.#kept = plan.projections.map((setup, i) => this.#keep(`ledger-${i}`, setup, { plan, random }))
    this.#operators = new Operators(cluster, this.#kept)
    this.#askers = new Askers(cluster, this.#kept, { random, asksEvery: plan.asksEvery })
    this.#operators.schedule(plan.deeds)
    for (const { models } of this.#kept) models.schedule(plan.storeFaults)
  }

  parts(place: string, thread: SimulatedThread): NodeParts {
    const projections = this.#kept.map(({ models, setup, troubles, projection: { name } }) =>
      createLedger({ name, account: this.#account, setup, troubles, store: models.connect(place, thread) }),
    )
    return { projections }
  }

  /** It writes nothing there. */
  streams(): readonly string[] {
    return []
  }

  told(attempt: Attempt): void {
    this.#askers.told(attempt)
  }

  heal(): void {
    for (const { models } of this.#kept) models.heal()
    this.#losesPowerAt = Number.POSITIVE_INFINITY
  }

  /** That in peace each projection comes to have all, and every node shows it. */
  async unfinished(): Promise<string[]> {
    const { kernel } = this.#cluster
    let isAtEnd = false
    void this.#operators.bringToAnEnd().then(() => (isAtEnd = true))
    if (!(await kernel.run({ untilMs: kernel.now + END_MS, isDone: () => isAtEnd }))) {
      let how = 'nobody says how they are'
      void this.#operators.describe().then((text) => (how = text))
      await kernel.run({ untilMs: kernel.now + ANSWERS_MS })
      return [`projections do not come to an end: ${how}`]
    }
    let silent: readonly string[] | undefined
    void this.#askers.last().then((nodes) => (silent = nodes))
    await kernel.run({ untilMs: kernel.now + ANSWERS_MS, isDone: () => silent !== undefined })
    return [...(silent ?? ['in peace projections are not answered for'])]
  }

  async broken({ log }: Found): Promise<string[]> {
    const ofWitnesses = this.#kept.map(async ({ witness, models, projection: { name } }) => {
      const readModel = await models.look(name)
      await readModel.query(witness.live, (model) => witness.compare(model, log))
      return witness.broken(log)
    })
    return [...(await Promise.all(ofWitnesses)).flat(), ...this.#operators.problems, ...this.#askers.problems]
  }

  #keep(
    name: string,
    setup: ProjectionSetup,
    { plan, random }: { readonly plan: Projecting; readonly random: SeededRandom },
  ): Kept {
    const { kernel } = this.#cluster
    const troubles = new Troubles(plan.troubles, setup, kernel)
    const witness = new Witness(name, setup, (effects) => this.#maybeLosePower(effects))
    const models = new SimulatedReadModels({
      kernel,
      random: new SeededRandom(random.next()),
      create: createLedgers(),
      onLanded: (landed) => witness.landed(landed),
      onPromoted: (promoted) => witness.promoted(promoted),
      onPaused: ({ isPaused }) => isPaused || witness.resumed(),
    })
    // By its name alone a node's own is asked for.
    const store = { open: () => Promise.reject(new Error('nobody runs it')) }
    const projection = createLedger({ name, account: this.#account, setup, troubles, store })
    return { projection, setup, troubles, witness, models }
  }

  #maybeLosePower(effects: number): void {
    if (effects < this.#losesPowerAt) return
    this.#losesPowerAt = Number.POSITIVE_INFINITY
    const { kernel } = this.#cluster
    this.#cluster.schedule([{ kind: 'power-loss', atMs: kernel.now }])
  }
}
