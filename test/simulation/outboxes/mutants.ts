/** Rules of outboxes, each broken on purpose. Those of the lanes that they run in are broken as for reactors. */
import { IdSource } from '../../../src/log/identity.ts'
import { NodeEffects } from '../../../src/node/effects.ts'
import { CONSUMER, type ConsumerState } from '../../../src/react/consumer-record.ts'
import type { OpenPublisher, OutboxMessage } from '../../../src/react/publisher.ts'
import { ShardPublishing } from '../../../src/react/shard-publishing.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { SimulatedBroker } from '../../../src/testing/simulated-broker.ts'
import { SimulatedClock } from '../../../src/testing/simulated-clock.ts'
import { MUTANTS, replace, type Mutant } from '../mutants.ts'
import { REACTOR_MUTANTS } from '../reactors/mutants.ts'

const OF_THE_LOG = new Set(['reply-before-sync'])
const OF_LANES = new Set(['checkpoint-before-effect', 'parked-forgotten', 'parked-in-memory-alone'])

/** Each process publishes in another way. */
function publishing(change: (publish: OpenPublisher['publish']) => OpenPublisher['publish']): () => () => void {
  return () =>
    replace(
      SimulatedBroker.prototype,
      'publisher',
      (original) =>
        function (this: SimulatedBroker, ...args) {
          const publisher = original.apply(this, args)
          return {
            open: (outbox) => {
              const open = publisher.open(outbox)
              return { ...open, publish: change(open.publish) }
            },
          }
        },
    )
}

export const OUTBOX_MUTANTS: readonly Mutant[] = [
  ...MUTANTS.filter(({ name }) => OF_THE_LOG.has(name)),
  ...REACTOR_MUTANTS.filter(({ name }) => OF_LANES.has(name)),
  {
    name: 'message-ids-not-derived',
    breaks: 'each time a message is published it has another id',
    install() {
      const ids = new IdSource(new SimulatedClock(), new SeededRandom(1))
      return publishing((publish) => async (messages, { signal, published }) => {
        const renamed = messages.map((message) => {
          const event = { ...message.event, id: ids.next() }
          return { ...message, id: event.id, event, json: JSON.stringify(event) }
        })
        const original = new Map(renamed.map(({ id }, i) => [id, messages[i]!]))
        await publish(renamed, { signal, published: ({ id }) => published(original.get(id)!) })
      })()
    },
  },
  {
    name: 'partly-published-counts',
    breaks: 'a batch of which a part has arrived counts as published',
    install: publishing((publish) => async (messages, { signal, published }) => {
      let hasArrived = false
      const told = (message: OutboxMessage): void => {
        hasArrived = true
        published(message)
      }
      await publish(messages, { signal, published: told }).catch((error: unknown) => {
        if (!hasArrived) throw error
      })
    }),
  },
  {
    name: 'order-lost-across-retry',
    breaks: 'what has failed is tried again behind the later ones of its stream',
    install: () =>
      replace(
        ShardPublishing.prototype,
        'publish',
        (original) =>
          async function (this: ShardPublishing, mapped, signal) {
            const notTaken = await original.call(this, mapped, signal)
            if (notTaken === undefined) return undefined
            const behind = mapped.slice(mapped.indexOf(notTaken.mapped) + 1)
            await original.call(this, behind, signal).catch(() => undefined)
            return notTaken
          },
      ),
  },
  {
    name: 'place-not-compared',
    breaks: 'a step of a record is taken wherever it stands',
    install: () =>
      replace(
        NodeEffects.prototype,
        'ask',
        (original) =>
          async function (this: NodeEffects, command) {
            const { stream, payload } = command
            const isStep =
              stream.startsWith(CONSUMER) && typeof payload === 'object' && payload !== null && 'from' in payload
            if (!isStep) return await original.call(this, command)
            const { place, turn } = (await this.query({ stream, name: 'state' })) as ConsumerState
            return await original.call(this, { ...command, payload: { ...payload, from: place, turn } })
          },
      ),
  },
]
