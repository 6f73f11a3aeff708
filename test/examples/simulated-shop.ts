/**
 * The shop of examples/orders on a simulated disk: a whole node, with all that runs in it, in virtual time. It may die at any
 * call to the disk, and loses what was not synced when the power goes, too. Customers and the warehouse act through every life.
 */
import { expect } from 'vitest'
import { Fulfilment } from '../../examples/orders/fulfilment.ts'
import { Order } from '../../examples/orders/order.ts'
import { Payment } from '../../examples/orders/payment.ts'
import { Shipment } from '../../examples/orders/shipment.ts'
import { defineCluster, isPenholdError, Rejected, type ReadEvent } from '../../src/index.ts'
import { RunningNode } from '../../src/node/running-node.ts'
import { startInline } from '../../src/node/worker-handle.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'

export const STORIES = ['shipped', 'unpaid', 'undeliverable'] as const
export type Story = (typeof STORIES)[number]

const ENDS: Readonly<Record<Story, readonly [order: string, payment: string, shipment: string]>> = {
  shipped: ['shipped', 'received', 'dispatched'],
  unpaid: ['cancelled', 'withdrawn', 'none'],
  undeliverable: ['cancelled', 'refunded', 'none'],
}

const STEP_MS = 20
/** Nothing happens for so many steps: then time passes quickly. */
const IDLE_STEPS = 30
const QUICK_MS = 60_000
/** No more at once: what is asked meanwhile would have had its time before anybody has a turn to answer. */
const SLICE_MS = 1_000
/** When all is done, what is still to be recorded of it is recorded by then. */
const SETTLED_STEPS = 20
/** A life that comes to no end, as with a shard that could not be read, is ended. */
const STEPS_MAX = 2_500

const cluster = defineCluster({
  name: 'shop',
  aggregates: [Order, Payment, Shipment],
  processes: [Fulfilment],
  dataDir: 'none',
  workers: 'inline',
  shards: 2,
  segmentBytes: 64 * 1024,
})

interface Life {
  readonly node: RunningNode
  readonly storage: SimulatedStorage
  readonly clock: SimulatedClock
}

export class SimulatedShop {
  readonly disk = new SimulatedDisk()
  readonly random: SeededRandom
  readonly #stories: readonly Story[]
  #now = Date.UTC(2026, 0, 1)
  #lives = 0
  /** A shard could not be read in this life: who has to do something in time cannot. */
  #isUnserved = false

  constructor(stories: readonly Story[], seed: number) {
    this.#stories = stories
    this.random = new SeededRandom(seed)
  }

  /** One life: until all orders are done with, or it dies, or cannot start. */
  async live(plan?: Plan): Promise<{ readonly steps: number; readonly isDone: boolean }> {
    const life = this.#begin(plan)
    let end: 'done' | 'failed' | undefined
    void this.#play(life).then(
      () => (end = 'done'),
      () => (end = 'failed'),
    )
    const { storage } = life
    await this.#pass(life, (idle) => storage.isDead || end === 'failed' || (end === 'done' && idle > SETTLED_STEPS))
    await this.#end(life)
    return { steps: storage.steps, isDone: end === 'done' }
  }

  /** What the log has in the end. */
  async check(): Promise<void> {
    const life = this.#begin()
    let events: readonly ReadEvent[] | undefined
    void life.node
      .start()
      .then(() => Array.fromAsync(life.node.store.readAll()))
      .then((all) => (events = all))
    await this.#pass(life, () => events !== undefined)
    await this.#end(life)
    for (const [i, story] of this.#stories.entries()) {
      const ends = [Order, Payment, Shipment].map((aggregate) => {
        const own = events!.filter(({ stream }) => stream === `${aggregate.type}/${i}`)
        const evolves = aggregate.events as Readonly<Record<string, (state: unknown, data: unknown) => unknown>>
        return own.reduce<unknown>((state, { type, data }) => evolves[type]!(state, data), aggregate.initialState())
      })
      expect(ends, story).toEqual(ENDS[story])
    }
    checkFacts(events!)
  }

  #begin(plan?: Plan): Life {
    this.#lives += 1
    this.#isUnserved = false
    const onWarning = (warning: string): void => {
      if (warning.includes('cannot be served')) this.#isUnserved = true
    }
    const config = { ...cluster, onWarning }
    const clock = new SimulatedClock(this.#now)
    const storage = new SimulatedStorage(this.disk, plan)
    const random = new SeededRandom(this.random.next() + this.#lives)
    const ports = { clock, random, storage }
    const identity = { format: 1, clusterId: 'shop', name: config.name, shards: config.shards }
    const node = new RunningNode(config, identity, {
      ...ports,
      startWorker: (start, events) => startInline({ ...ports, ...start, config, clusterId: 'shop' }, events),
      onClosed: () => Promise.resolve(),
    })
    return { node, storage, clock }
  }

  async #end({ storage, clock, node }: Life): Promise<void> {
    if (!storage.isDead && this.random.chance(0.5)) {
      let isClosed = false
      const closed = (): boolean => (isClosed = true)
      void node.close().then(closed, closed)
      await this.#pass({ storage, clock, node }, () => isClosed)
    }
    storage.kill()
    await turn()
    this.#now = clock.now() + 1_000
  }

  async #pass({ storage, clock }: Life, until: (idle: number) => boolean): Promise<void> {
    let idle = 0
    let { steps } = storage
    for (let step = 0; !until(idle) && step < STEPS_MAX; step += 1) {
      await turn()
      idle = storage.steps === steps ? idle + 1 : 0
      steps = storage.steps
      const isQuick = idle > IDLE_STEPS && step % 4 === 0 && !this.#isUnserved
      if (isQuick) await passQuickly({ storage, clock })
      else clock.advance(STEP_MS)
    }
  }

  async #play(life: Life): Promise<void> {
    await life.node.start()
    void mend(life.node)
    await Promise.all(this.#stories.map((story, i) => this.#playOrder(life, story, i)))
  }

  async #playOrder({ node, clock }: Life, story: Story, i: number): Promise<void> {
    const id = `${i}`
    const [order, payment, shipment] = [node.ref(Order, id), node.ref(Payment, id), node.ref(Shipment, id)]
    const address = story === 'undeliverable' ? 'the moon' : 'Delft'
    await retried(clock, () => order.ask('place', { euros: 5, address }))
    if (story !== 'unpaid') await retried(clock, () => payment.ask('pay'))
    if (story === 'shipped') await retried(clock, () => shipment.ask('dispatch'))
    await retried(clock, async () => {
      const phases = await Promise.all([order.query('phase'), payment.query('phase'), shipment.query('phase')])
      if (phases.join(' ') !== ENDS[story].join(' ')) throw new Rejected('not-yet', phases)
    })
  }
}

/** What was parked for a shard that could not be read in an earlier life: an operator has it tried again. */
async function mend(node: RunningNode): Promise<void> {
  for (const name of ['fulfilment.told', 'fulfilment.sent']) {
    const consumer = node.reactor({ name })
    try {
      for (const { stream } of await consumer.parked()) await consumer.retryParked(stream)
    } catch (error) {
      if (!isPenholdError(error)) throw error
    }
  }
}

/** Tries what can be tried until it is so, in this life or an earlier one. */
async function retried(clock: SimulatedClock, step: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await step()
      return
    } catch (error) {
      if (!(error instanceof Rejected) && !isPenholdError(error)) throw error
      if (error instanceof Rejected && isBehind(error)) return
    }
    await new Promise<void>((resolve) => clock.after(100, resolve))
  }
}

/** Rejected because it has happened already. */
function isBehind({ code, details }: Rejected): boolean {
  if (code === 'already-placed') return true
  const { phase } = (details ?? {}) as { readonly phase?: string }
  return code !== 'not-yet' && phase !== undefined && phase !== 'none'
}

/** Each event was told once, each command took effect once, and causes stand before their effects. */
function checkFacts(events: readonly ReadEvent[]): void {
  const told = events.filter(({ type }) => type === '$told').map(({ data }) => (data as { readonly id: string }).id)
  expect(told, 'each event was told once').toEqual([...new Set(told)])
  const sent = events.filter(({ type }) => type === '$sent').map(({ id }) => id)
  const outcomes = events.filter(({ type }) => type === '$outcome').map(({ metadata }) => metadata.causationId)
  expect(outcomes.toSorted(), 'each command has one outcome').toEqual(sent.toSorted())
  const effects = events
    .filter(({ stream }) => !stream.startsWith('fulfilment/'))
    .map(({ metadata }) => metadata.causationId)
  expect(effects, 'each command took effect once').toEqual([...new Set(effects)])
  const at = new Map(events.map(({ id, position }) => [id, position]))
  for (const { position, metadata } of events) {
    expect(at.get(metadata.causationId) ?? 0, 'a cause stands before its effect').toBeLessThan(position)
  }
}

/** Until something happens again. */
async function passQuickly({ storage, clock }: Pick<Life, 'storage' | 'clock'>): Promise<void> {
  const { steps } = storage
  for (let ms = 0; ms < QUICK_MS && storage.steps === steps; ms += SLICE_MS) {
    clock.advance(SLICE_MS)
    await turn()
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
