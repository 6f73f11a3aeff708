/**
 * Rules of projections, each broken on purpose, and those of the log that they lean on. What a process does with its read
 * model is broken between the two; the rest is put over the real code from outside.
 */
import { Attempt } from '../../../src/read/attempt.ts'
import { BEGINNING } from '../../../src/read/all.ts'
import { generationOf, rebuildOf, withChanged, withLive, type Control } from '../../../src/read/control.ts'
import { Intake } from '../../../src/read/intake.ts'
import { KnownTails } from '../../../src/read/known-tails.ts'
import { Projector } from '../../../src/read/projector.ts'
import { LaneMoved, type Change, type ReadModel } from '../../../src/read/read-model.ts'
import { RunningProjection } from '../../../src/read/running-projection.ts'
import { SimulatedReadModels } from '../../../src/testing/simulated-read-models.ts'
import { CLUSTER_MUTANTS } from '../cluster/mutants.ts'
import { MUTANTS, replace, type Mutant } from '../mutants.ts'
import type { LedgerModel } from './ledger.ts'

type Calls = ReadModel<LedgerModel>

/** Each process has a read model that differs in some calls. */
function differing(calls: (readModel: Calls) => Partial<Calls>): () => () => void {
  return () =>
    replace(
      SimulatedReadModels.prototype,
      'connect',
      (original) =>
        function (this: SimulatedReadModels<any>, place, thread) {
          const store = original.call(this, place, thread)
          return {
            async open(projection: string) {
              const readModel = (await store.open(projection)) as Calls
              return { ...readModel, ...calls(readModel) } as ReadModel<any>
            },
          }
        },
    )
}

/** A part of a change. */
function only(change: Change<LedgerModel>, parts: Partial<Change<LedgerModel>>): Change<LedgerModel> {
  return { ...change, park: [], unpark: [], apply: () => undefined, ...parts }
}

const OF_THE_LOG = new Set(['reply-before-sync'])
const OF_READING = new Set(['watermark-ignored', 'promise-without-mark', 'former-owners-forgotten'])

export const PROJECTION_MUTANTS: readonly Mutant[] = [
  ...MUTANTS.filter(({ name }) => OF_THE_LOG.has(name)),
  ...CLUSTER_MUTANTS.filter(({ name }) => OF_READING.has(name)),
  {
    name: 'checkpoint-before-effect',
    breaks: 'the checkpoint is committed first, and then the effect',
    install: differing((readModel) => ({
      async commit(generation, change) {
        const { from, to, park, unpark, apply } = change
        await readModel.commit(generation, only(change, { from, to }))
        await readModel.commit(generation, only(change, { from: to, to, park, unpark, apply }))
      },
    })),
  },
  {
    name: 'effect-before-checkpoint',
    breaks: 'the effect is committed first, and then the checkpoint',
    install: differing((readModel) => ({
      async commit(generation, change) {
        const { from, to, park, unpark, apply } = change
        await readModel.commit(generation, only(change, { from, to: from, park, unpark, apply }))
        await readModel.commit(generation, only(change, { from, to }))
      },
    })),
  },
  {
    name: 'place-not-compared',
    breaks: 'a commit does not look whether its lane still stands where its runner thinks',
    install: differing((readModel) => ({
      async commit(generation, change) {
        const placed = async (): Promise<void> => {
          const from = (await readModel.places(generation)).get(change.lane) ?? BEGINNING
          await readModel.commit(generation, { ...change, from })
        }
        // It may move while it is looked at.
        await placed().catch((error: unknown) =>
          error instanceof LaneMoved ? placed() : Promise.reject(error as Error),
        )
      },
    })),
  },
  {
    name: 'rest-of-batch-forgotten',
    breaks: 'what was read ahead and does not fit into a batch is left out',
    install: () =>
      replace(
        Intake.prototype,
        'take',
        (original) =>
          async function (this: Intake, most) {
            const taken = await original.call(this, most)
            return taken && { ...taken, events: taken.events.slice(0, 2) }
          },
      ),
  },
  {
    name: 'moves-unheard',
    breaks: 'whoever follows a shard does not hear that another worker serves it',
    install: () =>
      replace(
        KnownTails.prototype,
        'listen',
        (original) =>
          function (this: KnownTails, told) {
            return original.call(this, (news) => news === 'durable' && told(news))
          },
      ),
  },
  {
    name: 'failure-goes-past',
    breaks: 'an event whose handler fails is left out',
    install: () =>
      replace(
        Attempt.prototype,
        'apply',
        (original) =>
          async function (this: Attempt<any>, model) {
            try {
              await original.call(this, model)
            } catch {
              // What a handler throws is nobody's business.
            }
          },
      ),
  },
  {
    name: 'parked-streams-forgotten',
    breaks: 'who takes a lane over lets through what follows a parked event in its stream',
    install: differing(() => ({ parkedStreams: async () => new Set<string>() })),
  },
  {
    name: 'retried-backwards',
    breaks: 'parked events are retried in another order than they came in',
    install: differing((readModel) => ({
      parked: async (generation, options) => (await readModel.parked(generation, options)).toReversed(),
    })),
  },
  {
    name: 'retried-stays-parked',
    breaks: 'a parked event that was retried stays on the list, and is retried again',
    install: differing((readModel) => ({
      commit: (generation, change) => readModel.commit(generation, { ...change, unpark: [] }),
    })),
  },
  {
    name: 'pause-forgotten',
    breaks: 'a projection that was paused goes on',
    install: () =>
      replace(
        Projector.prototype,
        'hold',
        (original) =>
          function (this: Projector<any>, why) {
            original.call(this, why)
            if (why === 'paused') this.release(why)
          },
      ),
  },
  {
    name: 'swap-without-holding',
    breaks: 'the live generation goes on while the rebuilt one takes its place',
    install: () =>
      replace(
        Projector.prototype,
        'hold',
        (original) =>
          function (this: Projector<any>, why) {
            if (why !== 'swapping') original.call(this, why)
          },
      ),
  },
  {
    name: 'live-before-level',
    breaks: 'a rebuild goes live as soon as it is begun',
    install: differing((readModel) => ({
      replaceControl(from, to) {
        const isBegun = to.last > from.last
        return readModel.replaceControl(from, isBegun ? withLive(to, to.last) : to)
      },
    })),
  },
  {
    name: 'record-not-compared',
    breaks:
      'who changes the record of generations goes by an earlier one, and does not look whether it is another by now',
    install: differing((readModel) => {
      let known: Control | undefined
      return {
        async control() {
          const [now, before] = [await readModel.control(), known]
          known = now
          return before ?? now
        },
        async replaceControl(_from, to) {
          const from = await readModel.control()
          return await readModel.replaceControl(from, { ...to, revision: from.revision + 1 })
        },
      }
    }),
  },
  {
    name: 'handler-without-end',
    breaks: 'a handler that does not end is waited for',
    install: () =>
      replace(
        RunningProjection,
        'open',
        (original) => (options) =>
          original({ ...options, projection: { ...options.projection, handlerTimeoutMs: 1e9 } }),
      ),
  },
  {
    name: 'live-with-parked',
    breaks: 'a rebuild goes live with parked events, and nobody has accepted that',
    install: differing((readModel) => ({
      async parkedStreams(generation) {
        const rebuild = rebuildOf(await readModel.control())
        return generation === rebuild?.number ? new Set<string>() : await readModel.parkedStreams(generation)
      },
      // Nor does the store look.
      replaceControl(from, to) {
        const isRebuilt = generationOf(from, to.live)?.state === 'under way'
        return readModel.replaceControl(isRebuilt ? withChanged(from, to.live, { state: 'accepted' }) : from, to)
      },
    })),
  },
  {
    name: 'query-does-not-wait',
    breaks: 'a query shows what there is, whatever it is to wait for',
    install: () =>
      replace(
        RunningProjection.prototype,
        'query',
        (original) =>
          function (this: RunningProjection<any>, ask) {
            return original.call(this, ask) as never
          },
      ),
  },
]
