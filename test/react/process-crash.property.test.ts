/**
 * Orders are fulfilled in a world that dies at each call that a consumer of their process makes, before and after it has had
 * its effect, and goes on from an older checkpoint. It ends as it does where nothing happens; and the check notices what
 * breaks a rule.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Fulfilment } from '../../examples/orders/fulfilment.ts'
import { Order } from '../../examples/orders/order.ts'
import { Payment } from '../../examples/orders/payment.ts'
import { Shipment } from '../../examples/orders/shipment.ts'
import { aggregateOf } from '../../src/react/process-aggregate.ts'
import { consumersOf } from '../../src/react/process-consumers.ts'
import type { ProcessState } from '../../src/react/process.ts'
import { Died, ProcessWorld, type Strike } from './process-world.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 100),
}

/** What becomes of an order: it is paid or not, in time or while it is cancelled, and can be delivered or not. */
const STORIES = ['shipped', 'unpaid', 'undeliverable', 'paid late'] as const
type Story = (typeof STORIES)[number]

const ENDS: Readonly<Record<Story, readonly [order: string, payment: string, shipment: string]>> = {
  shipped: ['shipped', 'received', 'dispatched'],
  unpaid: ['cancelled', 'withdrawn', 'none'],
  undeliverable: ['cancelled', 'refunded', 'none'],
  'paid late': ['cancelled', 'refunded', 'none'],
}

class Shop {
  readonly world = new ProcessWorld([Order, Payment, Shipment, aggregateOf(Fulfilment)])
  readonly #stories: readonly Story[]

  constructor(stories: readonly Story[]) {
    this.#stories = stories
  }

  order(): void {
    for (const [i, story] of this.#stories.entries()) {
      const address = story === 'undeliverable' ? 'the moon' : 'Delft'
      this.world.ask(`order/${i}`, 'place', { euros: 5, address })
    }
  }

  /** Lives until there is nothing to do for anybody, or it dies. */
  async live(checkpoints: (step: number) => boolean = () => true): Promise<void> {
    for (;;) {
      await this.world.run(consumersOf(Fulfilment), checkpoints)
      if (!this.#othersAct()) return
    }
  }

  /** Lives on after each death. */
  async liveOn(checkpoints?: (step: number) => boolean): Promise<void> {
    for (;;) {
      try {
        return await this.live(checkpoints)
      } catch (error) {
        if (!(error instanceof Died)) throw error
      }
    }
  }

  /** Customers, the warehouse and time. */
  #othersAct(): boolean {
    let isAnything = false
    for (const [i, story] of this.#stories.entries()) {
      const did = (command: string, stream: string): boolean => this.world.ask(stream, command).kind === 'accepted'
      if (story === 'shipped' || story === 'undeliverable') isAnything = did('pay', `payment/${i}`) || isAnything
      const { timers } = this.fulfilment(i)
      const isDue = (story === 'unpaid' || story === 'paid late') && timers.length > 0
      if (isDue) {
        this.world.fire(`fulfilment/${i}`, timers[0]!)
        if (story === 'paid late') did('pay', `payment/${i}`)
      }
      isAnything = did('dispatch', `shipment/${i}`) || isDue || isAnything
    }
    return isAnything
  }

  fulfilment(i: number): ProcessState {
    return this.world.state(`fulfilment/${i}`) as ProcessState
  }

  /** Everybody is where the story ends, and everything has happened once. */
  check(): void {
    for (const [i, story] of this.#stories.entries()) {
      const ends = ['order', 'payment', 'shipment'].map((type) => this.world.state(`${type}/${i}`))
      expect(ends, story).toEqual(ENDS[story])
      const { isCompleted, sends, timers } = this.fulfilment(i)
      expect({ isCompleted, sends, timers }, story).toEqual({ isCompleted: true, sends: [], timers: [] })
      const told = this.world.of(`fulfilment/${i}`).filter(({ type }) => type === '$told')
      const ids = told.map(({ data }) => (data as { id: string }).id)
      expect(ids, 'each event was told once').toEqual([...new Set(ids)])
    }
    const causes = this.world.events
      .filter(({ stream }) => !stream.startsWith('fulfilment/'))
      .map(({ metadata }) => metadata.causationId)
    expect(causes, 'each command took effect once').toEqual([...new Set(causes)])
    for (const { position, metadata } of this.world.events) {
      const cause = this.world.events.find(({ id }) => id === metadata.causationId)
      expect(cause?.position ?? 0, 'a cause stands before its effect').toBeLessThan(position)
    }
  }
}

test('orders are fulfilled, or cancelled with their money back', async () => {
  const shop = new Shop(STORIES)
  shop.order()
  await shop.live()
  shop.check()
})

test('whichever call it dies at, before it or after it, all ends the same', async () => {
  const whole = new Shop(STORIES)
  whole.order()
  await whole.live()
  expect(whole.world.calls).toBeGreaterThan(40)
  for (let at = 1; at <= whole.world.calls; at += 1) {
    for (const strike of ['before', 'after'] as const) {
      // Nothing is checkpointed before it dies, so that all is done again.
      for (const isRecorded of [true, false]) {
        const shop = new Shop(STORIES)
        shop.order()
        shop.world.strike = (call) => (call === at ? strike : 'none')
        await shop.live(() => isRecorded).catch((error: unknown) => expect(error).toBeInstanceOf(Died))
        await shop.liveOn()
        shop.check()
      }
    }
  }
})

const MUTANTS: Readonly<Record<string, (world: ProcessWorld) => void>> = {
  'ids are not derived': (world) => {
    world.wrap = (effects) => ({ ...effects, ask: (command) => effects.ask({ ...command, commandId: world.newId() }) })
  },
  'what is told twice counts twice': (world) => {
    world.wrap = (effects) => ({
      ...effects,
      ask: (command) => effects.ask(command.name === '$tell' ? { ...command, commandId: world.newId() } : command),
    })
  },
  'the outcome of a command is forgotten': (world) => {
    const forgotten = Promise.resolve({ kind: 'accepted', version: 1, position: 1 } as const)
    world.wrap = (effects) => ({
      ...effects,
      ask: (command) => (command.name === '$outcome' ? forgotten : effects.ask(command)),
    })
  },
  'the checkpoint comes before the effect': (world) => {
    world.recordsFirst = true
  },
}

test.each(Object.entries(MUTANTS))('it is noticed where %s', async (_what, mutate) => {
  for (let at = 1; ; at += 1) {
    for (const strike of ['before', 'after'] as const) {
      const shop = new Shop(STORIES)
      mutate(shop.world)
      shop.order()
      shop.world.strike = (call) => (call === at ? strike : 'none')
      await shop.liveOn((step) => step % 3 === 0)
      try {
        shop.check()
      } catch {
        return
      }
      if (shop.world.calls < at) expect.unreachable('all is well for the check')
    }
  }
})

test('however often it dies, and from wherever it goes on, all ends the same', async () => {
  const story = fc.record({
    stories: fc.array(fc.constantFrom(...STORIES), { minLength: 1, maxLength: 4 }),
    strikes: fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom<Strike>('before', 'after')), {
      maxLength: 12,
    }),
    every: fc.integer({ min: 1, max: 9 }),
  })
  await fc.assert(
    fc.asyncProperty(story, async ({ stories, strikes, every }) => {
      const shop = new Shop(stories)
      shop.order()
      let next = 0
      let [pending] = strikes
      const left = [...strikes]
      next = pending?.[0] ?? 0
      shop.world.strike = (call) => {
        if (pending === undefined || call < next) return 'none'
        const [, strike] = pending
        left.shift()
        ;[pending] = left
        next = call + (pending?.[0] ?? 0)
        return strike
      }
      await shop.liveOn((step) => step % every === 0)
      shop.check()
    }),
    parameters,
  )
})
