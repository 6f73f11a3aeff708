/**
 * What a user defines of an inbox: where messages come from, and which command each is. Pure: nothing here connects to
 * anything.
 */
import { isAggregate, type Aggregate, type CommandName, type PayloadOf } from '../aggregate/aggregate.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import { isAsynchronous, isThenable } from '../aggregate/synchronous.ts'
import { isId } from '../log/identity.ts'
import { idProblem, streamName } from '../log/stream.ts'
import { checkChoice, checkKeys, checkName, checkNumber, checkSource } from '../read/definition-check.ts'
import type { InboxMessage, InboxSource } from './inbox-source.ts'

/** A command to one of these aggregates: what a message says is to be done. */
export type InboxCommand<A extends Aggregate = Aggregate> = A extends Aggregate
  ? { [K in CommandName<A>]: InboxCommandOf<A, K> }[CommandName<A>]
  : never

type InboxCommandOf<A extends Aggregate, K extends CommandName<A>> = {
  readonly aggregate: A
  readonly id: string
  readonly command: K
  /**
   * A UUID that stands for what the message says, where the same may come as another message too. Default: one derived from
   * the inbox and the message.
   */
  readonly commandId?: string
  /** What its events name as their correlation: 1 to 512 characters. Default: the command's id. */
  readonly correlationId?: string
} & (undefined extends PayloadOf<A, K> ? { readonly payload?: PayloadOf<A, K> } : { readonly payload: PayloadOf<A, K> })

export interface InboxSettings {
  /**
   * What becomes of a message that cannot be mapped, or whose command fails for good. `park`: it is put aside, with all later
   * ones to its aggregate. `halt`: the inbox goes no further, and tries again until it can. Default `park`. A command whose
   * aggregate is away is sent again until it is back.
   */
  readonly onFailure?: 'park' | 'halt'
  /** What becomes of one whose command is rejected. `pass`: it is done with. Default `fail`: as one that failed. */
  readonly onRejection?: 'fail' | 'pass'
  /** So many messages are read at a time. Default 500. */
  readonly batchMax?: number
  /** So many commands are under way at once, each to another aggregate. Default 64. */
  readonly concurrency?: number
}

export interface InboxDefinition<
  To extends readonly Aggregate[],
  Mapped extends InboxCommand<To[number]> | undefined = InboxCommand<To[number]> | undefined,
> extends InboxSettings {
  /** Names the inbox in the log and in the ids of commands: 1 to 64 letters, digits, `-` and `_`; never change it. */
  readonly name: string
  /** With which messages it begins when it is there for the first time. */
  readonly startAt: 'now' | 'beginning'
  readonly source: InboxSource
  /** Whom messages are for. */
  readonly to: To
  /** Says what a message asks for; undefined for nothing. Pure and synchronous: it may be asked again. */
  readonly map: (message: InboxMessage) => Mapped
}

/** An inbox's definition with everything filled in, made by `defineInbox`. */
export interface Inbox extends Required<InboxSettings> {
  readonly name: string
  readonly startAt: 'now' | 'beginning'
  readonly source: InboxSource
  readonly to: readonly Aggregate[]
  readonly map: (message: InboxMessage) => unknown
}

const REQUIRED = ['name', 'startAt', 'source', 'to', 'map']
const OPTIONAL = ['onFailure', 'onRejection', 'batchMax', 'concurrency']
const BATCH_MESSAGES_MAX = 10_000
const CONCURRENCY_MAX = 1_000

/**
 * Defines an inbox: what it maps takes effect once, in order for each aggregate.
 * @throws PenholdError `BadDefinition` that says what is wrong
 */
export function defineInbox<
  const To extends readonly Aggregate[],
  const Mapped extends InboxCommand<To[number]> | undefined,
>(definition: InboxDefinition<To, Mapped>): Inbox {
  const name = checkName('inbox', definition)
  const who = `inbox '${name}'`
  checkKeys(who, definition, { required: REQUIRED, optional: OPTIONAL })
  const { startAt, source, to, map, onFailure = 'park', onRejection = 'fail' } = definition
  const { batchMax = 500, concurrency = 64 } = definition
  checkChoice(who, { startAt }, ['now', 'beginning'])
  checkSource(who, to, 'to')
  checkChoice(who, { onFailure }, ['park', 'halt'])
  checkChoice(who, { onRejection }, ['fail', 'pass'])
  checkNumber(who, { batchMax }, { min: 1, max: BATCH_MESSAGES_MAX })
  checkNumber(who, { concurrency }, { min: 1, max: CONCURRENCY_MAX })
  if (typeof (source as Partial<InboxSource> | null)?.open !== 'function') {
    throw definitionError(
      `${who}: source is ${describe(source)}; give a source of messages, as redisStreamSource({ … }) returns`,
    )
  }
  if (typeof map !== 'function') throw definitionError(`${who}: map is ${describe(map)}; give a function`)
  if (isAsynchronous(map)) {
    throw definitionError(
      `${who}: map is async, or a generator, and is synchronous; what needs waiting for belongs into a reactor, or the message`,
    )
  }
  const inbox: Inbox = { name, startAt, source, to, map, onFailure, onRejection, batchMax, concurrency }
  inboxes.add(inbox)
  return inbox
}

const inboxes = new WeakSet<object>()

/** Whether it is what `defineInbox` has returned. */
export function isInbox(value: unknown): value is Inbox {
  return typeof value === 'object' && value !== null && inboxes.has(value)
}

/** It is kept with each event that the command has, and with all that these set in motion. */
const CORRELATION_LENGTH_MAX = 512
const COMMAND_KEYS: readonly string[] = ['aggregate', 'id', 'command', 'payload', 'commandId', 'correlationId']

/** Whom what a mapper has returned is for, whatever else is wrong with it. @throws TypeError where it does not say so */
export function addressOf({ to }: Inbox, mapped: unknown): string {
  if (isThenable(mapped)) {
    Promise.resolve(mapped).catch(() => undefined)
    throw new TypeError('its mapper returned a promise; what needs waiting for belongs into a reactor, or the message')
  }
  if (typeof mapped !== 'object' || mapped === null) {
    throw new TypeError('its mapper returned neither a command nor undefined')
  }
  const { aggregate, id } = mapped as Readonly<Record<string, unknown>>
  if (!isAggregate(aggregate)) {
    throw new TypeError(`its mapper gave ${describe(aggregate)} for the aggregate; give what defineAggregate returned`)
  }
  if (!to.some(({ type }) => type === aggregate.type)) {
    throw new TypeError(`its mapper gave the aggregate '${aggregate.type}', which is none of 'to'; add it there`)
  }
  const problem = idProblem(id)
  if (problem !== undefined) throw new TypeError(`its mapper gave what cannot be an id: ${problem}`)
  return streamName(aggregate.type, id as string)
}

/** What a mapper has returned that has an address, checked. @throws TypeError that says what is wrong with it */
export function checkedCommand(mapped: object): InboxCommand {
  // One that is misspelt would be left out, and nobody would know: an id that protects from nothing.
  const unknown = Object.keys(mapped).find((key) => !COMMAND_KEYS.includes(key))
  if (unknown !== undefined) {
    throw new TypeError(
      `its mapper gave '${unknown}', which a command does not have; it has ${COMMAND_KEYS.join(', ')}`,
    )
  }
  const { aggregate, command } = mapped as { readonly aggregate: Aggregate; readonly command?: unknown }
  const commands = Object.keys(aggregate.commands as object)
  if (typeof command !== 'string' || !commands.includes(command)) {
    throw new TypeError(
      `its mapper gave ${describe(command)} for the command, and ${aggregate.type} has ${commands.join(', ')}`,
    )
  }
  checkIds(mapped)
  return mapped as InboxCommand
}

/** They come from messages more often than not, and would fail where nobody knows of a mapper any more. */
function checkIds({
  commandId,
  correlationId,
}: {
  readonly commandId?: unknown
  readonly correlationId?: unknown
}): void {
  if (commandId !== undefined && !(typeof commandId === 'string' && isId(commandId))) {
    throw new TypeError(
      `its mapper gave ${describe(commandId)} for the commandId, which is no UUID; derive one from what the message says, with deriveId`,
    )
  }
  if (correlationId === undefined) return
  if (typeof correlationId !== 'string' || correlationId === '' || !correlationId.isWellFormed()) {
    throw new TypeError(
      `its mapper gave ${describe(correlationId)} for the correlationId; give a text that is not empty, of whole characters, or leave it out`,
    )
  }
  if (correlationId.length > CORRELATION_LENGTH_MAX) {
    throw new TypeError(
      `its mapper gave a correlationId of ${correlationId.length} characters, and ${CORRELATION_LENGTH_MAX} are the limit; derive an id from it, with deriveId`,
    )
  }
}
