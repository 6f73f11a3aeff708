/**
 * Given events, then what a read model says: a projection's handlers and queries, tried without a node, in the projection's
 * own store. It is a generation of its own, beside the projection's and dropped at the end, so that no node sees it.
 *
 * The events come twice, in two generations: once all in one batch, and once each in a batch of its own. Nobody should be able
 * to tell the difference.
 */
import fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EmittedEvent } from '../aggregate/aggregate.ts'
import { BEGINNING, type AllPlace } from '../read/all.ts'
import { Attempt } from '../read/attempt.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import { systemClock } from '../platform/system.ts'
import { handlersOf, type Projection } from '../read/projection.ts'
import type { ReadModel } from '../read/read-model.ts'
import { checkedHistory, copyOf, plainProblem } from './decision.ts'
import { describeEvent, describeValue, labelled } from './describe.ts'
import { difference } from './difference.ts'
import { attempt, failure, problemOf, unexpected } from './failure.ts'
import { inGeneration, openBeside } from './passing-generation.ts'

/** Events of one stream, in order: `['account/anna', AccountOpened({ owner: 'Ada' }), MoneyDeposited({ amount: 5 })]`. */
export type StreamEvents = readonly [
  stream: string,
  ...events: readonly { readonly type: string; readonly data?: unknown }[],
]

export interface GivenEvents<Model> {
  /**
   * Asks the read model that the events make. Resolves where the answer is the expected one, or what a function finds right
   * (it may assert by itself); rejects with a diff where it is not, or where a handler fails.
   */
  thenQuery<Answer>(
    ask: (model: Model) => Answer | Promise<Answer>,
    expected: NoInfer<Awaited<Answer> | ((answer: Awaited<Answer>) => unknown)>,
  ): Promise<void>
}

const FIRST_MOMENT = Date.UTC(2026, 0, 1)
const SECOND_MS = 1_000

/**
 * A projection of these events, in this order. A stream may come again: `[['account/a', …], ['account/b', …], ['account/a', …]]`.
 * The time of the first is 2026-01-01 at 00:00 UTC, of each later one a second more.
 *
 * @example await givenEvents(Balances, [['account/anna', MoneyDeposited({ amount: 5 })]]).thenQuery(balanceOfAnna, 5)
 * @throws AssertionError where an event could not stand in the log
 */
export function givenEvents<Model>(
  projection: Projection<Model>,
  history: readonly StreamEvents[],
): GivenEvents<Model> {
  const setting = describeSetting(projection, history)
  const events = attempt(setting, () => record(projection, history))
  return {
    async thenQuery(ask, expected) {
      const [together, alone] = await answers({ projection, events, setting }, ask)
      if (difference(together, alone) !== undefined) {
        throw failure(
          `${setting}\n\nthe answer depends on something outside of the model, or on which events come in one batch. In one batch:\n${describeValue(together)}\nand one by one:\n${describeValue(alone)}`,
        )
      }
      if (typeof expected === 'function') {
        const isRight: unknown = await (expected as (answer: unknown) => unknown)(together)
        if (isRight !== false) return
        throw unexpected(setting, {
          expected: `an answer for which ${String(expected)}`,
          happened: describeValue(together),
        })
      }
      if (difference(expected, together) === undefined) return
      throw unexpected(setting, { expected: describeValue(expected), happened: describeValue(together) })
    },
  }
}

interface Scene<Model> {
  readonly projection: Projection<Model>
  readonly events: readonly FeedEvent[]
  readonly setting: string
}

/** The answer over all events in one batch, and over one after the other. */
async function answers<Model, Answer>(
  scene: Scene<Model>,
  ask: (model: Model) => Answer | Promise<Answer>,
): Promise<[Answer, Answer]> {
  const folder = await fs.mkdtemp(join(tmpdir(), 'penhold-given-'))
  try {
    const readModel = await openBeside(scene.projection, folder)
    try {
      const together = await inGeneration(readModel, async (generation) => {
        await commit(scene, { readModel, generation, events: scene.events })
        return await readModel.query(generation, ask)
      })
      const alone = await inGeneration(readModel, async (generation) => {
        for (const event of scene.events) await commit(scene, { readModel, generation, events: [event] })
        return await readModel.query(generation, ask)
      })
      return [together, alone]
    } finally {
      await readModel.close()
    }
  } finally {
    await fs.rm(folder, { recursive: true, force: true })
  }
}

interface Batch<Model> {
  readonly readModel: ReadModel<Model>
  readonly generation: number
  readonly events: readonly FeedEvent[]
}

async function commit<Model>({ projection, setting }: Scene<Model>, batch: Batch<Model>): Promise<void> {
  const { readModel, generation, events } = batch
  const last = events.at(-1)
  if (last === undefined) return
  const { handlerTimeoutMs } = projection
  const tried = new Attempt<Model>(events, { handlers: handlersOf(projection), handlerTimeoutMs, clock: systemClock })
  const apply = (model: Model): void | Promise<void> => tried.apply(model)
  const change = { lane: 'all', from: before(events[0]!), to: placeOf(last), park: [], unpark: [], apply }
  try {
    await readModel.commit(generation, change)
  } catch (error) {
    if (tried.failure === undefined) throw error
    const { stream, version, type } = tried.failure.event
    const what = `the handler of '${type}' has failed, at version ${version} of ${stream}`
    throw failure(`${setting}\n\n${what}: ${problemOf(error)}`)
  }
}

function placeOf({ position, shard }: FeedEvent): AllPlace {
  return { position, shard }
}

/** Where a lane stands before an event: positions count 1, 2, 3 … here. */
function before({ position, shard }: FeedEvent): AllPlace {
  return position === 1 ? BEGINNING : { position: position - 1, shard }
}

/** The events as the log would give them. @throws an error where one of them could not stand there */
function record(projection: Projection, history: readonly StreamEvents[]): readonly FeedEvent[] {
  check(projection, history)
  const versions = new Map<string, number>()
  return history
    .flatMap(([stream, ...events]) => events.map((event) => ({ stream, ...event })))
    .map(({ stream, type, data }, index) => {
      const version = (versions.get(stream) ?? 0) + 1
      versions.set(stream, version)
      const problem = plainProblem(data)
      if (problem !== undefined) throw new Error(`'${type}' of ${stream} cannot stand in the log (data${problem})`)
      const id = idOf(index + 1)
      return {
        id,
        type,
        data: copyOf(data),
        stream,
        version,
        position: index + 1,
        time: new Date(FIRST_MOMENT + index * SECOND_MS),
        metadata: { commandId: id, correlationId: id, causationId: id },
        shard: 0,
        seq: index + 1,
      }
    })
}

function check({ name, from }: Projection, history: readonly StreamEvents[]): void {
  for (const [stream, entries] of Map.groupBy(history, ([of]) => of)) {
    const events: readonly EmittedEvent[] = entries.flatMap(([, ...each]) => each as EmittedEvent[])
    if (!/^[^/]+\/./.test(stream)) throw new Error(`'${stream}' names no stream; write 'type/id'`)
    if (from === 'all') continue
    const type = stream.slice(0, stream.indexOf('/'))
    const aggregate = from.find((each) => each.type === type)
    if (aggregate === undefined) {
      const types = from.map((each) => `'${each.type}'`).join(', ')
      throw new Error(`${name} takes no events of '${type}' (${stream}), but those of ${types}`)
    }
    checkedHistory(aggregate, events)
  }
}

function idOf(number: number): string {
  return `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`
}

function describeSetting({ name }: Projection, history: readonly StreamEvents[]): string {
  const lines = history.flatMap(([stream, ...events]) => events.map((event) => `${stream}  ${describeEvent(event)}`))
  return labelled('given ', lines.length === 0 ? `${name} without events` : [name, ...lines].join('\n'))
}
