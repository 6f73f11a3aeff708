/**
 * What reads the facts of timers: those that were set go into the wheel of their shard, and what a reactor's timer or a
 * schedule was set for is sent once it has fired.
 */
import { assert } from '../aggregate/assert.ts'
import { deriveId } from '../log/identity.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import type { BatchReaction, Consumer, Reaction } from './consumer.ts'
import { isTimerSet, TimerRecord, type TimedCommand, type TimerSet } from './timer.ts'
import type { DueTimer } from './timer-records.ts'

const HANDLER_MS = 60_000
const FACTS_MAX = 1_000
const COMMANDS_AT_ONCE = 32

const SETTINGS = {
  kind: 'timers',
  startAt: 'beginning',
  onFailure: 'park',
  retries: 10,
  handlerTimeoutMs: HANDLER_MS,
} as const

/** Reads all timers that are set. `place` resolves once they are in buckets. */
export function timersConsumer(
  place: (shard: number, timers: readonly DueTimer[], signal: AbortSignal) => Promise<void>,
): Consumer {
  return {
    ...SETTINGS,
    name: '$timers',
    concurrency: 1,
    isWanted: isTimerSet,
    does: {
      most: FACTS_MAX,
      many: async (events: readonly FeedEvent[], { shard, signal }: BatchReaction) =>
        await place(shard, events.map(toDueTimer), signal),
    },
  }
}

function toDueTimer({ id: causationId, stream, position, metadata, data }: FeedEvent): DueTimer {
  const { id, at, token } = data as TimerSet
  return { at, stream, id, token, position, causationId, correlationId: metadata.correlationId }
}

/** Sends the commands of reactors' timers that have fired. */
export function timerCommandsConsumer(): Consumer {
  return {
    ...SETTINGS,
    name: '$timer-commands',
    concurrency: COMMANDS_AT_ONCE,
    isWanted: ({ type, stream }) => type === 'TimerFired' && stream.startsWith(`${TimerRecord.type}/`),
    does: { one: sendTimed },
  }
}

async function sendTimed(event: FeedEvent, { effects, signal }: Reaction): Promise<void> {
  const { token, command } = event.data as { readonly token: string; readonly command: TimedCommand }
  const cause = { correlationId: event.metadata.correlationId, causationId: event.id, after: event.position }
  // Rejected it is done with as well: a timer has nobody to tell.
  await effects.ask({ ...command, commandId: deriveId('timer', token), ...cause, signal })
}
