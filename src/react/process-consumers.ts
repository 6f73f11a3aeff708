/**
 * The two consumers of a process, both at least once, and both with what happens twice having effect once:
 *
 * - routing: each event that is told goes to the process that it belongs to, as a command whose id derives from the event's;
 * - dispatching: each command that a process has recorded as sent goes to its aggregate, with an id that derives from the
 *   record's, and what became of it goes back to the process. So it does not matter where a node dies: before the dispatch,
 *   between it and its outcome, or after both.
 *
 * Both are sent with the position of their cause, and looked for in the log as far back as that: so they have effect once,
 * however many commands came between. What leaves nothing in the log could be decided anew: that is why a command whose
 * outcome the process knows is never sent again. A rejected one might be accepted now.
 *
 * An aggregate that is not to be had for a while is waited for; it is no failure. A command that somebody skips by hand has an
 * outcome, too: it would wait for one for ever.
 */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { isPenholdError } from '../aggregate/error.ts'
import { DUE, TELL } from '../aggregate/own-names.ts'
import { synchronous } from '../aggregate/synchronous.ts'
import { eventVersion } from '../aggregate/upcaster.ts'
import { deriveId } from '../log/identity.ts'
import { idProblem, streamName, streamType } from '../log/stream.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import { unchanging } from '../read/feed-event.ts'
import type { Consumer, Reaction } from './consumer.ts'
import { isRefusal, type Cause, type Effects, type SentCommand } from './effects.ts'
import { tellOutcome, type Failed, type OutcomeTelling, type ToldOutcome } from './process-outcome.ts'
import { commandKey, type Sent, type Told } from './process-facts.ts'
import type { AnyProcess } from './process.ts'
import { unlessKnown } from './unless-known.ts'

/** So many processes are told something at once in a shard, or have a command under way. */
const CONCURRENCY = 100
/** For all that one event or command comes to. */
const ATTEMPT_MS = 30_000

/** What a process needs done for it. Their names are none that a user can give to something else. */
export function consumersOf(process: AnyProcess): readonly Consumer[] {
  const { type, startAt, retries } = process
  const common = {
    kind: 'process',
    onFailure: 'park',
    retries,
    handlerTimeoutMs: ATTEMPT_MS,
    concurrency: CONCURRENCY,
  } as const
  const sources = new Map((process.from as readonly Aggregate[]).map((aggregate) => [aggregate.type, aggregate]))
  return [
    {
      ...common,
      name: `${type}.told`,
      startAt,
      isWanted: (event) => process.correlate[event.type] !== undefined && sources.has(streamType(event.stream)),
      does: { one: (event, reaction) => tell(process, sources.get(streamType(event.stream))!, { event, reaction }) },
    },
    {
      ...common,
      name: `${type}.sent`,
      // Whatever has been recorded as sent is sent.
      startAt: 'beginning',
      isWanted: (event) => event.type === '$sent' && streamType(event.stream) === type,
      does: { one: (event, reaction) => dispatch(process, event, reaction) },
      givesUp: (event, { effects }) => giveUp(event, effects),
    },
  ]
}

async function tell(
  process: AnyProcess,
  source: Aggregate,
  { event, reaction }: { readonly event: FeedEvent; readonly reaction: Reaction },
): Promise<void> {
  const { type, data, id, stream, version, position, time, metadata } = event
  const key = synchronous(process.correlate[type]!(unchanging(event)))
  if (key === undefined) return
  const problem = idProblem(key)
  if (problem !== undefined) throw new Error(`what correlate gives for '${type}' is no key: ${problem}`)
  const shape = eventVersion(source, type)
  const told: Told = { type, shape, data, id, stream, version, position, time: time.getTime(), metadata }
  const command = {
    ...causeOf(event),
    stream: streamName(process.type, key as string),
    name: TELL,
    payload: told,
    // Of the event, not only of its id: that is the caller's to choose, and may be another event's too.
    commandId: deriveId('told', process.type, id, stream, version),
  }
  // It has been told the same in another shape, by code of another day: that is what was recorded.
  await unlessKnown(reaction.effects.ask(command))
}

async function dispatch(process: AnyProcess, event: FeedEvent, reaction: Reaction): Promise<void> {
  const { effects } = reaction
  if (!(await isDue(event, effects))) return
  const command = commandOf(event)
  const outcome = await effects.ask(command).catch((error: unknown) => failureOf(process, { error, event, reaction }))
  await tellOutcome(tellingOf(event, effects, outcome), outcome)
}

/**
 * A command that somebody has skipped. It may have had its effect all the same, as where its process could not be told: then that is what
 * the process hears, and else that it failed. What its handler throws of it is given up as well.
 * @throws PenholdError where nobody can tell what became of it, or its process cannot be read
 */
async function giveUp(event: FeedEvent, effects: Effects): Promise<void> {
  if (!(await isDue(event, effects))) return
  const effect = await effects.find(commandOf(event))
  const outcome: ToldOutcome = effect === undefined ? SKIPPED : { kind: 'accepted', ...effect }
  const telling = tellingOf(event, effects, outcome)
  try {
    await tellOutcome(telling, outcome)
  } catch (error) {
    if (!isPenholdError(error) || !isRefusal(error)) throw error
    await tellOutcome({ ...telling, isUnheard: true }, outcome)
  }
}

const SKIPPED: Failed = {
  kind: 'failed',
  code: 'Skipped',
  message: 'it was skipped by hand where it was parked, and had no effect',
}

async function isDue({ stream, data }: FeedEvent, effects: Effects): Promise<boolean> {
  return (await effects.query({ stream, name: DUE, argument: (data as Sent).n })) === true
}

function commandOf(event: FeedEvent): SentCommand {
  const { stream, name, payload } = event.data as Sent
  return { ...causeOf(event), stream, name, payload, commandId: deriveId('sent', event.id) }
}

function tellingOf(event: FeedEvent, effects: Effects, outcome: ToldOutcome): OutcomeTelling {
  const { payload: _given, ...sent } = event.data as Sent
  const cause = causeOf(event)
  // What the process does next comes after what its command did.
  const after = outcome.kind === 'accepted' ? Math.max(cause.after, outcome.position) : cause.after
  return { ...cause, after, effects, stream: event.stream, commandId: deriveId('outcome', event.id), sent }
}

/**
 * That a command has failed for good, which a process hears of that has a handler for it. It may be that the aggregate's node
 * runs code of another day, so it is tried a few times first. That a config does not have the command is no such failure: it was
 * sent by code that has it, which another node may run. @throws the error else; then it is tried again, or parked
 */
function failureOf(
  { on }: AnyProcess,
  { error, event, reaction }: { readonly error: unknown; readonly event: FeedEvent; readonly reaction: Reaction },
): Failed {
  if (!isPenholdError(error) || error.outcome !== 'none') throw error
  if (!isRefusal(error) || error.code === 'UnknownCommand') throw error
  if (!reaction.isOutOfRetries || on[commandKey(event.data as Sent)] === undefined) throw error
  return { kind: 'failed', code: error.code, message: error.message }
}

function causeOf({ id, position, metadata }: FeedEvent): Cause {
  return { correlationId: metadata.correlationId, causationId: id, after: position }
}
