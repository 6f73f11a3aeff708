/**
 * What has become of a command, without sending it: for who has sent it before, perhaps, and cannot send it any more, as its
 * schema, its aggregate or a limit is another by now.
 *
 * What asks is a command itself, with the id and the hash of the one that is sought, and none that is ever decided: it expects a version
 * that no aggregate has. Whoever owns the aggregate looks for a command's id before it looks at anything else (actor/worker.ts): what
 * has taken effect is answered as it was, and else the version is another. So what was sent before it has had its turn, and nothing of
 * that takes effect once it is answered (docs/decisions/refused-and-late.md). Its name is one of Penhold's own, for which an owner looks
 * into streams whose aggregate it does not know. Owners of the version before answer it as well.
 */
import { hashPlain, NotPlain } from '../aggregate/plain.ts'
import { KNOWN } from '../aggregate/own-names.ts'
import { fromFailure } from '../actor/error.ts'
import type { Reply } from '../actor/message.ts'
import { parseId } from '../log/identity.ts'
import type { RefHost } from './ref.ts'
import type { RequestOptions } from './router.ts'

export interface SoughtCommand {
  readonly stream: string
  readonly name: string
  readonly payload: unknown
  readonly commandId: string
}

/** What an accepted command came to. */
export interface Effect {
  readonly version: number
  readonly position: number
}

/** Versions of streams are less. */
const NO_VERSION: number = 2 ** 40

/**
 * What the command came to; undefined where it has had no effect, and no copy of it ever will that the same sender has sent.
 * @throws PenholdError where nobody can tell now; `CommandIdReused` where its id is another command's
 */
export function findCommand(
  host: Pick<RefHost, 'send' | 'shardOf'>,
  { stream, name, payload, commandId }: SoughtCommand,
  options: RequestOptions,
): Promise<Effect | undefined> {
  const message = {
    kind: 'command',
    request: 0,
    epoch: 0,
    stream,
    name: KNOWN,
    payload: undefined,
    commandId: parseId(commandId),
    payloadHash: hashIfPlain(payload, hashPlain(name, 0)),
    isFresh: false,
    isAgain: true,
    expectedVersion: NO_VERSION,
    deadline: 0,
    after: 0,
    since: 0,
    sentIn: undefined,
    waitsForReactors: false,
    metadata: undefined,
  } as const
  return new Promise((resolve, reject) => {
    const settle = (reply: Reply): void => {
      if (reply.kind === 'accepted') resolve({ version: reply.version, position: reply.position })
      else if (reply.kind === 'failed' && !isAbsent(reply.failure)) reject(fromFailure(reply.failure))
      else resolve(undefined)
    }
    host.send({ stream, shard: host.shardOf(stream) }, message, { resolve: settle, reject }, options)
  })
}

/**
 * An id that is known with another payload may have left nothing behind. An owner of the version before does not say. Of a name that
 * no stream can have there is none.
 */
function isAbsent({ code, details }: { readonly code: string; readonly details: unknown }): boolean {
  if (code === 'CommandIdReused') return Object(details).hasTakenEffect === false
  return code === 'ExpectedVersion' || code === 'BadAddress'
}

/** What is not plain was never sent: whatever is known by its id is something else. */
function hashIfPlain(payload: unknown, seed: number): number {
  try {
    return hashPlain(payload, seed)
  } catch (error) {
    if (error instanceof NotPlain) return 0
    throw error
  }
}
