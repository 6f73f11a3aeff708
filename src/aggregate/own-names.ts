/**
 * What Penhold itself says to aggregates and streams, and what it calls streams of its own. These names begin with `$`, so that no user can
 * give one; and no user has ever written one: in messages to people they are told in words.
 */

/** What is said to a process (react/process-aggregate.ts): an event, what became of its command, that a timer is due. */
export const TELL = '$tell'
export const OUTCOME = '$outcome'
export const FIRE = '$fire'
/** The query whether the outcome of its command of this number is not known yet. */
export const DUE = '$due'
/** Looks for a command that was sent before (cluster/known-command.ts). */
export const KNOWN = '$known'

/** Something that is said to an aggregate. */
interface Said {
  readonly stream: string
  readonly name: string
  /** Where it is at hand. It may be anything. */
  readonly payload?: unknown
}

/** A command for a message to people, as that which failed, or takes too much. */
export function commandInWords(said: Said): string {
  return isOwn(said.name) ? ownInWords(said) : `the command '${said.name}' of ${streamInWords(said.stream)}`
}

/** A query for a message to people. */
export function queryInWords(said: Said): string {
  return isOwn(said.name) ? ownInWords(said) : `the query '${said.name}' of ${streamInWords(said.stream)}`
}

/** A command or a query, where nobody knows which. */
export function saidInWords(said: Said): string {
  return isOwn(said.name) ? ownInWords(said) : `'${said.name}' on ${streamInWords(said.stream)}`
}

/** What an aggregate was to answer. */
export function askedInWords(name: string): string {
  if (!isOwn(name)) return `'${name}'`
  return ASKED[name] ?? 'a question about its events'
}

/** What somebody who was sent it does not know. */
export function unknownInWords({ kind, name }: { readonly kind: 'command' | 'query'; readonly name: string }): string {
  return isOwn(name) ? `what to do with ${askedInWords(name)}` : `the ${kind} '${name}'`
}

const ASKED: Readonly<Record<string, string>> = {
  [TELL]: 'an event that it was told',
  [OUTCOME]: 'the outcome of a command of its',
  [FIRE]: 'a timer of its',
  [DUE]: 'a question about a command of its',
  [KNOWN]: 'a question about a command',
  $append: 'an append',
}

function ownInWords({ stream, name, payload }: Said): string {
  switch (name) {
    case TELL:
      return `telling ${stream} of ${shown(payload, 'type') ?? 'an event'}`
    case OUTCOME:
      return `telling ${stream} what became of ${shown(payload, 'name') ?? 'a command'}`
    case FIRE:
      return `the timer ${shown(payload, 'id') ?? ''} of ${stream}`.replace('  ', ' ')
    case DUE:
    case KNOWN:
      return `asking ${stream} what became of a command`
    case '$append':
      return `an append to ${stream}`
    default:
      return `reading ${stream}`
  }
}

/** Whose `evolve` function is run for an event of its stream. */
export function evolveInWords(event: { readonly type: string; readonly data: unknown }): string {
  const { type, data } = event
  switch (type) {
    case '$told':
      return shown(data, 'type') ?? `'${type}'`
    case '$timerFired':
      return shown(data, 'id') ?? `'${type}'`
    case '$outcome':
      return shown(data, 'name') ?? `'${type}'`
    default:
      return `'${type}'`
  }
}

/** A timer, by the stream of whoever has set it: a process, or one of Penhold's own, which has no other. */
export function timerInWords(stream: string, id: string): string {
  return isOwn(stream) ? streamInWords(stream) : `the timer '${id}' of ${stream}`
}

/** A stream as whoever has to do with it knows it. */
export function streamInWords(stream: string): string {
  if (!isOwn(stream)) return stream
  const slash = stream.indexOf('/')
  const category = stream.slice(0, slash)
  const name = stream.slice(slash + 1)
  switch (category) {
    case '$consumer':
      return `the record of ${withoutSalt(name)}`
    case '$timer': {
      const colon = name.indexOf(':')
      return `the timer '${name.slice(colon + 1)}' of the reactor '${name.slice(0, colon)}'`
    }
    case '$timers':
    case '$due':
      return 'the record of timers'
    case '$schedule':
      return `the schedule '${name}'`
    case '$inbox':
      return `the record of the inbox '${name}'`
    default:
      return stream
  }
}

/** Of names that are made to fall on a shard. */
function withoutSalt(name: string): string {
  return name.replace(/~\d+$/, '')
}

function isOwn(name: string): boolean {
  return name.startsWith('$')
}

const SHOWN_MAX = 100

function shown(value: unknown, key: string): string | undefined {
  const text: unknown = Object(value)[key]
  return typeof text === 'string' ? `'${text.slice(0, SHOWN_MAX)}'` : undefined
}
