/**
 * How far an inbox has come, and what of it is parked: an aggregate of Penhold's own, so that it is as durable as what the
 * messages have set in motion, and in the same backup. Who runs the inbox says from where it goes on: one that is not the
 * only one any more is refused.
 */
import { defineAggregate, type Aggregate } from '../aggregate/aggregate.ts'
import { internal } from '../aggregate/internal.ts'
import type { InboxMessage, InboxPlace } from './inbox-source.ts'

export interface InboxState {
  /** Of the last event of this record. */
  readonly version: number
  /** Undefined where it was never begun. */
  readonly place: InboxPlace | undefined
  /** Of the event that said so: what was sent of the messages behind the place stands behind that event, and perhaps before later ones. */
  readonly placedAt: number
  /** In the order in which they came. */
  readonly parked: readonly KeptMessage[]
  /** Ids of those that were given up since the place was recorded: who reads them again passes them. */
  readonly skipped: readonly string[]
  /** So many messages were removed before it had read them. */
  readonly lost: number
  /** So many were rejected, and passed. */
  readonly rejected: number
}

export interface ParkedMessage extends InboxMessage {
  /** Whom it is for; undefined where its mapper does not say so. */
  readonly stream: string | undefined
  /** Why it failed; empty where it waits behind another one of its stream. */
  readonly reason: string
  /** In milliseconds since 1970. */
  readonly at: number
  /** Somebody wants it tried again. */
  readonly isAsked: boolean
}

/** As it is in the record: its fields in JSON, which is plain data whatever names and texts others have given them. */
export interface KeptMessage extends Omit<ParkedMessage, 'fields'> {
  readonly fields: string
  /** Behind this position stands what was sent of it, should that have taken effect before it was parked. */
  readonly after: number
}

/** What a turn of an inbox needs to know: all but what the parked messages say, which may be a lot. */
export interface InboxOutline extends Omit<InboxState, 'parked'> {
  readonly parked: readonly ParkedOutline[]
}

export type ParkedOutline = Omit<KeptMessage, 'fields'>

interface Step {
  /** Where the sender takes it to stand. */
  readonly from: InboxPlace
}

/** What a page has come to. */
export interface InboxAdvance extends Step {
  readonly to: InboxPlace
  readonly lost: number
  readonly rejected: number
}

export const INBOX = '$inbox'
/** It stands elsewhere, as somebody else runs the inbox, or a message was skipped meanwhile: whoever is told looks again. */
export const INBOX_MOVED = 'Moved'
export const MESSAGE_NOT_PARKED = 'NotParked'
/** As many are parked as may be. */
export const INBOX_FULL = 'Full'
/** More is no single message's fault. */
export const PARKED_MESSAGES_MAX = 100

const INITIAL: InboxState = {
  version: 0,
  place: undefined,
  placedAt: 0,
  parked: [],
  skipped: [],
  lost: 0,
  rejected: 0,
}

export const InboxRecord: Aggregate = internal(
  defineAggregate({
    type: 'inbox',
    stateVersion: 2,
    initialState: (): InboxState => INITIAL,
    events: {
      Begun: (state, { place }: { place: InboxPlace }) => placed(state, place),
      Advanced: (state, { to, lost, rejected }: Omit<InboxAdvance, 'from'>) => {
        return { ...placed(state, to), lost: state.lost + lost, rejected: state.rejected + rejected }
      },
      /** For the first time, or again. */
      Parked: (state, message: Omit<KeptMessage, 'isAsked'>) => {
        const known = state.parked.find(({ id }) => id === message.id)
        const parked = { ...message, after: known?.after ?? message.after, isAsked: false }
        const others = state.parked.map((each) => (each === known ? parked : each))
        return { ...next(state), parked: known === undefined ? [...others, parked] : others }
      },
      Unparked: (state, { id, rejected = 0 }: { id: string; rejected?: number }) => {
        return { ...without(state, id), rejected: state.rejected + rejected }
      },
      Skipped: (state, { id }: { id: string; reason: string }) => {
        return { ...without(state, id), skipped: [...state.skipped, id] }
      },
      RetryAsked: (state, { id }: { id: string }) => {
        const parked = state.parked.map((each) => (each.id === id ? { ...each, isAsked: true } : each))
        return { ...next(state), parked }
      },
    },
    commands: {
      /** The first to say so decides. */
      begin: ({ place: known }, { place }: { place: InboxPlace }, { emit }) =>
        known === undefined ? emit.Begun({ place }) : undefined,
      advance: (state, { from, ...step }: InboxAdvance, { emit, reject }) =>
        isAt(state, from) ? emit.Advanced(step) : reject(INBOX_MOVED),
      park: (state, { from, message }: Step & { message: Omit<KeptMessage, 'isAsked'> }, { emit, reject }) => {
        // Somebody may have given it up while it was tried: it stays so.
        if (!isAt(state, from) || state.skipped.includes(message.id)) return reject(INBOX_MOVED)
        const isFull = state.parked.length >= PARKED_MESSAGES_MAX && !isParked(state, message.id)
        return isFull ? reject(INBOX_FULL) : emit.Parked(message)
      },
      unpark: (state, { from, ...done }: Step & { id: string; rejected: number }, { emit, reject }) => {
        if (!isAt(state, from)) return reject(INBOX_MOVED)
        return isParked(state, done.id) ? emit.Unparked(done) : undefined
      },
      retry: (state, { id }: { id: string }, { emit, reject }) =>
        isParked(state, id) ? emit.RetryAsked({ id }) : reject(MESSAGE_NOT_PARKED),
      skip: (state, { id, reason }: { id: string; reason: string }, { emit, reject }) =>
        isParked(state, id) ? emit.Skipped({ id, reason }) : reject(MESSAGE_NOT_PARKED),
    },
    queries: {
      outline: ({ parked, ...state }): InboxOutline => {
        return { ...state, parked: parked.map(({ fields: _left, ...message }) => message) }
      },
      parked: ({ parked }) => parked,
      /** A parked one. */
      message: ({ parked }, id: string) => parked.find((message) => message.id === id),
    },
    // It is written often and read seldom.
    snapshotEvery: 1_000,
  }),
)

/** Whether a parked message is to be tried: somebody wants it, or what it has waited behind is done. */
export function isDue({ isAsked, reason }: ParkedOutline): boolean {
  return isAsked || reason === ''
}

/** A kept message's fields, as its source gave them. */
export function keptFields({ fields }: Pick<KeptMessage, 'fields'>): InboxMessage['fields'] {
  // Without a prototype `__proto__` is a name as any other.
  return Object.assign(Object.create(null), JSON.parse(fields)) as InboxMessage['fields']
}

function next(state: InboxState): InboxState {
  return { ...state, version: state.version + 1 }
}

function placed(state: InboxState, place: InboxPlace): InboxState {
  return { ...next(state), place, placedAt: state.version + 1, skipped: [] }
}

function isAt({ place }: InboxState, from: InboxPlace): boolean {
  return place !== undefined && place.id === from.id && place.count === from.count
}

function isParked({ parked }: InboxState, id: string): boolean {
  return parked.some((message) => message.id === id)
}

function without(state: InboxState, id: string): InboxState {
  return { ...next(state), parked: state.parked.filter((message) => message.id !== id) }
}
