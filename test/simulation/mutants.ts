/**
 * Rules of the log and of the actors, each broken on purpose: a simulator that does not notice proves nothing. A mutant
 * is put over the real code from outside, by a method that is replaced for a while or by something around the storage.
 */
import { Committer, type HeldReply } from '../../src/actor/committer.ts'
import { DedupeWindow } from '../../src/actor/dedupe-window.ts'
import { Log, type CutBatch } from '../../src/log/log.ts'
import { PositionClock } from '../../src/log/position.ts'
import { RecordKind } from '../../src/log/record.ts'
import type { Place } from '../../src/log/reign.ts'
import type { LogFile, Storage } from '../../src/log/storage.ts'
import { Heir, type Inheritance } from '../../src/log/take-over.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'

export interface Mutant {
  readonly name: string
  /** What it breaks, and the rule. */
  readonly breaks: string
  /** Replaces methods; returns what puts them back. */
  readonly install?: () => () => void
  readonly wrapStorage?: (storage: Storage, disk: SimulatedDisk) => Storage
}

/** Replaces a method of a class. */
export function replace<C extends object, K extends keyof C>(
  prototype: C,
  name: K,
  make: (original: C[K]) => C[K],
): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name)!
  Object.defineProperty(prototype, name, { ...original, value: make(original.value as C[K]) })
  return () => void Object.defineProperty(prototype, name, original)
}

/** A storage that differs in some calls. */
export function differing(storage: Storage, calls: Partial<Storage>): Storage {
  return new Proxy(storage, {
    get(target, name) {
      const call: unknown = name in calls ? calls[name as keyof Storage] : target[name as keyof Storage]
      return typeof call === 'function' ? (call as (...all: unknown[]) => unknown).bind(target) : call
    },
  })
}

/** A storage whose log files sync in another way. */
function syncing(storage: Storage, sync: (file: LogFile, count: number) => Promise<void>): Storage {
  return differing(storage, {
    createLog: async (path) => {
      const file = await storage.createLog(path)
      let count = 0
      return {
        write: (offset, bytes) => file.write(offset, bytes),
        truncate: (length) => file.truncate(length),
        close: () => file.close(),
        sync: () => sync(file, (count += 1)),
      }
    },
  })
}

function inheriting(change: (inheritance: Inheritance) => Inheritance): () => () => void {
  return () =>
    replace(
      Heir.prototype,
      'inherit',
      (original) =>
        async function (this: Heir, claim) {
          return change(await original.call(this, claim))
        },
    )
}

/** Behind all that stands in the seal's segment. */
function behind(seal: Place): Place {
  return { ...seal, offset: 2 ** 31 - 1 }
}

/** Lets replies of some kinds go without waiting for anything. */
function replyingAtOnce(isMeant: (held: HeldReply) => boolean): () => () => void {
  return () =>
    replace(
      Committer.prototype,
      'hold',
      (original) =>
        function (this: Committer, held) {
          if (!isMeant(held)) return original.call(this, held)
          held.sender.reply(held.request, held.reply)
          held.sender.flush()
          // The accounts must still be right.
          original.call(this, { ...held, sender: { reply: () => undefined, flush: () => undefined } })
        },
    )
}

const fenceSeenBefore = new WeakMap<Log, boolean>()

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'no-fence-check',
    breaks: 'replies go without a look at the fence (D1)',
    install: () => replace(Log.prototype, 'isFenceRaised', () => () => false),
  },
  {
    name: 'fence-check-before-write',
    breaks: 'the look comes before the write instead of after the sync (D1)',
    install() {
      const undoLook = replace(
        Log.prototype,
        'isFenceRaised',
        (original) =>
          function (this: Log) {
            const isRaised = fenceSeenBefore.get(this) ?? original.call(this)
            fenceSeenBefore.delete(this)
            return isRaised
          },
      )
      const undoAppend = replace(
        Log.prototype,
        'append',
        (original) =>
          async function (this: Log, cut: CutBatch) {
            fenceSeenBefore.delete(this)
            const isRaised = this.isFenceRaised()
            await original.call(this, cut)
            fenceSeenBefore.set(this, isRaised)
          },
      )
      return () => {
        undoLook()
        undoAppend()
      }
    },
  },
  {
    name: 'no-fence',
    breaks: 'an heir does not raise the fence before it reads (D1)',
    wrapStorage: (storage) => differing(storage, { createMark: async () => true }),
  },
  {
    name: 'read-without-fence-check',
    breaks: 'a query on durable state is answered without a look (D1)',
    install: replyingAtOnce(({ reply, actor }) => reply.kind === 'answered' && actor.group?.state !== 'open'),
  },
  {
    name: 'reply-before-sync',
    breaks: 'a batch counts as durable when it is written (I2)',
    wrapStorage: (storage) =>
      syncing(storage, (file) => {
        file.sync().catch(() => undefined)
        return Promise.resolve()
      }),
  },
  {
    name: 'retry-failed-sync',
    breaks: 'a sync that failed is tried again (D3)',
    wrapStorage: (storage) => syncing(storage, (file) => file.sync().catch(() => file.sync())),
  },
  {
    name: 'serve-before-opening-is-durable',
    breaks: 'the first batch of a journal, which has the openings, is not synced (D4)',
    wrapStorage: (storage) => syncing(storage, (file, count) => (count === 1 ? Promise.resolve() : file.sync())),
  },
  {
    name: 'no-folder-sync-of-segments',
    breaks: 'the name of a new segment is not made durable (D4)',
    wrapStorage: (storage, disk) =>
      differing(storage, {
        createLog: async (path) => {
          const file = await storage.createLog(path)
          disk.files.get(path)!.isNameDurable = false
          return file
        },
      }),
  },
  {
    name: 'no-folder-sync-of-claims',
    breaks: 'the name of a claim is not made durable (D4)',
    wrapStorage: (storage, disk) =>
      differing(storage, {
        createExclusive: async (path, content) => {
          const isMade = await storage.createExclusive(path, content)
          if (isMade) disk.files.get(path)!.isNameDurable = false
          return isMade
        },
      }),
  },
  {
    name: 'adopt-without-carrying',
    breaks: 'the batch in doubt is adopted where it stands (D2)',
    install: inheriting((inheritance) => {
      const { reigns, carried } = inheritance
      const last = reigns.at(-1)
      if (carried.length === 0 || last?.until === undefined) return inheritance
      return { ...inheritance, carried: [], reigns: [...reigns.slice(0, -1), { ...last, until: behind(last.until) }] }
    }),
  },
  {
    name: 'carry-without-sealing',
    breaks: 'the batch in doubt is carried over and counts where it stands, too (D2)',
    install: inheriting((inheritance) => {
      const { reigns, carried } = inheritance
      const last = reigns.at(-1)
      if (carried.length === 0 || last?.until === undefined) return inheritance
      return { ...inheritance, reigns: [...reigns.slice(0, -1), { ...last, until: behind(last.until) }] }
    }),
  },
  {
    name: 'drop-batch-in-doubt',
    breaks: 'the batch in doubt is left out (D2)',
    install: inheriting((inheritance) => {
      const events = inheritance.carried.filter(({ kind }) => kind === RecordKind.event).length
      return { ...inheritance, carried: [], seq: inheritance.seq - events }
    }),
  },
  {
    name: 'no-dedupe',
    breaks: 'a command id is not looked for (I5)',
    install: () => replace(DedupeWindow.prototype, 'find', () => () => undefined),
  },
  {
    name: 'rejection-at-once',
    breaks: 'a rejection does not wait for what it was decided on (I3)',
    install: replyingAtOnce(({ reply }) => reply.kind === 'rejected'),
  },
  {
    name: 'query-at-once',
    breaks: 'a query does not wait for the state that it shows (I3)',
    install: replyingAtOnce(({ reply }) => reply.kind === 'answered'),
  },
  {
    name: 'no-roll-back',
    breaks: 'a batch that found no room is not rolled back (I4)',
    install: () => replace(Log.prototype, 'rollBack', () => () => undefined),
  },
  {
    name: 'causes-forgotten',
    breaks: 'positions are not moved past their causes (I6)',
    install: () => replace(PositionClock.prototype, 'observe', () => () => undefined),
  },
]
