/**
 * What reads the facts of timers: those that were set go into the wheel of their shard, and what a reactor's timer or a
 * schedule was set for is sent once it has fired.
 */
import { timerInWords } from '../aggregate/own-names.ts'
import type { Clock } from '../log/clock.ts'
import { deriveId } from '../log/identity.ts'
import { streamType } from '../log/stream.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import type { BatchReaction, Consumer, Reaction } from './consumer.ts'
import type { Cause } from './effects.ts'
import type { Schedule } from './schedule.ts'
import { ScheduleRecord, type LastRun, type ToldStop } from './schedule-record.ts'
import { isTimerSet, TimerRecord, type TimedCommand, type TimerSet } from './timer.ts'
import type { DueTimer } from './timer-records.ts'
import { isLeftOut } from './timetable.ts'
import { SaidOtherwise, unlessKnown } from './unless-known.ts'

const HANDLER_MS = 60_000
const FACTS_MAX = 1_000
const COMMANDS_AT_ONCE = 32

const SETTINGS = {
  kind: 'timers',
  startAt: 'beginning',
  onFailure: 'park',
  retries: 100,
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

export interface TimerCommandsOptions {
  readonly schedules: readonly Schedule[]
  readonly clock: Clock
  /** What another machine's clock says, in milliseconds since 1970; undefined where there is none. */
  readonly otherTime: () => number | undefined
  readonly onWarning: (message: string) => void
}

/** Sends what timers and schedules were set for. */
export function timerCommandsConsumer(options: TimerCommandsOptions): Consumer {
  const sending = { ...options, otherwise: new SaidOtherwise(options.onWarning) }
  return {
    ...SETTINGS,
    name: '$timer-commands',
    concurrency: COMMANDS_AT_ONCE,
    isWanted: ({ type, stream }) => type === WANTED.get(streamType(stream)),
    does: {
      one: async (event, reaction) => {
        if (event.type === 'RunDue') await run(event, reaction, sending)
        else await sendTimed(event, reaction, sending)
      },
    },
  }
}

const WANTED: ReadonlyMap<string, string> = new Map([
  [TimerRecord.type, 'TimerFired'],
  [ScheduleRecord.type, 'RunDue'],
])

interface Sending extends TimerCommandsOptions {
  readonly otherwise: SaidOtherwise
}

async function sendTimed(event: FeedEvent, { effects, signal }: Reaction, { otherwise }: Sending): Promise<void> {
  const { token, command } = event.data as { readonly token: string; readonly command: TimedCommand }
  // Rejected it is done with as well: a timer has nobody to tell.
  const asked = effects.ask({ ...command, commandId: deriveId('timer', token), ...causeOf(event), signal })
  if ((await unlessKnown(asked)) === undefined)
    otherwise.tell(timerInWords(event.stream, ''), `'${command.name}' to ${command.stream}`)
}

async function run(event: FeedEvent, reaction: Reaction, sending: Sending): Promise<void> {
  const { effects, signal } = reaction
  const { schedules, otherwise } = sending
  const { stream } = event
  const { time } = event.data as { readonly time: number }
  const name = nameOf(stream)
  const schedule = schedules.find((each) => each.name === name)
  if (schedule === undefined) return await stop(event, reaction, sending)
  if (reaction.isBehindParked && (await isMissed(event, reaction, sending))) return
  const command = schedule.commandAt({ time: new Date(time) })
  const asked = effects.ask({ ...command, commandId: deriveId('schedule', name, time), ...causeOf(event), signal })
  if ((await unlessKnown(asked)) === undefined) {
    otherwise.tell(`the schedule '${name}'`, `its run of ${new Date(time).toISOString()}`)
  }
}

/** It is begun again by a node that has it. */
async function stop(event: FeedEvent, { effects, signal }: Reaction, sending: Sending): Promise<void> {
  const { stream, id } = event
  sending.onWarning(
    `the schedule '${nameOf(stream)}' is not in the config of this node, and is stopped until a node that has it begins it again`,
  )
  const { time: from } = event.data as { readonly time: number }
  const otherTime = sending.otherTime()
  const payload: ToldStop = { from, ...(otherTime !== undefined && { otherTime }) }
  // Sent again, as after a crash, it says another time: the first one stands.
  await unlessKnown(
    effects.ask({ stream, name: 'stop', payload, commandId: deriveId('stop', id), ...causeOf(event), signal }),
  )
}

function nameOf(stream: string): string {
  return stream.slice(ScheduleRecord.type.length + 1)
}

/** Of one that has waited behind another: whether it is of what was missed, and left out for that. */
async function isMissed(
  { stream, data }: FeedEvent,
  { effects, signal }: Reaction,
  { clock }: Sending,
): Promise<boolean> {
  const { time } = data as { readonly time: number }
  const { missed, last } = (await effects.query({ stream, name: 'runs', signal })) as LastRun
  return missed !== undefined && isLeftOut(missed, { time, isLast: time === last, now: clock.now() })
}

function causeOf({ id: causationId, position: after, metadata: { correlationId } }: FeedEvent): Cause {
  return { causationId, after, correlationId }
}
