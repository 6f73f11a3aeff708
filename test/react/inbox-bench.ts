/** An inbox of a row in memory, at a real node, with all that it sends and asks. */
import { onTestFinished } from 'vitest'
import type { RefHost } from '../../src/cluster/ref.ts'
import { defineInbox, deriveId, type InboxDefinition, type InboxMessage, type Node } from '../../src/index.ts'
import { IdSource } from '../../src/log/identity.ts'
import { NodeEffects } from '../../src/node/effects.ts'
import type { RunningNodeStore } from '../../src/node/node-store.ts'
import { systemClock, systemRandom } from '../../src/platform/system.ts'
import type { Effects, SentCommand, SentOutcome } from '../../src/react/effects.ts'
import { InboxOperations } from '../../src/react/inbox-operations.ts'
import type { InboxOutline } from '../../src/react/inbox-record.ts'
import type { InboxPage, InboxPlace } from '../../src/react/inbox-source.ts'
import { RunningInbox } from '../../src/react/running-inbox.ts'
import { Account } from '../account.ts'
import { startInlineNode } from '../node/inline-node.ts'

export interface InboxBenchOptions {
  /** Default: one of its own. */
  readonly node?: Node
  /** Which others append to. */
  readonly row?: readonly InboxMessage[]
  /** Default: what is for anna, who is paid or pays. */
  readonly definition?: Partial<InboxDefinition<[typeof Account]>>
  /** Sends what the inbox sends. */
  readonly ask?: (command: SentCommand, send: Effects['ask']) => Promise<SentOutcome>
  /** Reads, where it does not give undefined, instead of the row. */
  readonly read?: (after: InboxPlace) => InboxPage | undefined
}

export interface InboxBench {
  readonly node: Node
  readonly running: RunningInbox
  /** The names of all that it has sent and asked. */
  readonly said: string[]
  /** What it has asked for and been told, with the bytes of that. */
  readonly answers: { readonly name: string; readonly bytes: number }[]
  readonly warnings: string[]
  readonly operations: InboxOperations
  readonly outline: () => Promise<InboxOutline>
  /** As an operator does. */
  readonly operate: (name: 'retry' | 'skip', message: string) => Promise<void>
}

export async function openInbox(options: InboxBenchOptions): Promise<InboxBench> {
  const node = options.node ?? (await startInlineNode())
  const store = node.store as unknown as RunningNodeStore
  const effects = new NodeEffects({ host: node as unknown as RefHost, store, aggregates: [Account] }).from(0, 0)
  const { ask = (command, send) => send(command) } = options
  const said: string[] = []
  const answers: { name: string; bytes: number }[] = []
  const warnings: string[] = []
  const running = new RunningInbox({
    inbox: defineInbox(definitionOf(options)),
    effects: {
      ask: async (command) => {
        said.push(command.name)
        return await ask(command, (sent) => effects.ask(sent))
      },
      query: async (question) => {
        said.push(question.name)
        const answer = await effects.query(question)
        answers.push({ name: question.name, bytes: JSON.stringify(answer ?? null).length })
        return answer
      },
      find: (command) => effects.find(command),
      append: (...args) => effects.append(...args),
      load: (...args) => effects.load(...args),
      inShard: (...args) => effects.inShard(...args),
      knows: (type) => effects.knows(type),
      commandBytesMax: effects.commandBytesMax,
    } satisfies Effects,
    ids: new IdSource(systemClock, systemRandom),
    clock: systemClock,
    onWarning: (message) => void warnings.push(message),
  })
  onTestFinished(() => running.close())
  const operations = new InboxOperations('payments', {
    effects,
    ids: new IdSource(systemClock, systemRandom),
    clock: systemClock,
  })
  const stream = '$inbox/payments'
  const outline = async (): Promise<InboxOutline> => (await effects.query({ stream, name: 'outline' })) as InboxOutline
  const operate = async (name: string, id: string): Promise<void> => {
    const ids = { commandId: deriveId(name, id), correlationId: '', causationId: '', after: 0 }
    await effects.ask({ stream, name, payload: { id, reason: '' }, ...ids })
  }
  return { node, running, said, answers, warnings, operations, outline, operate }
}

function definitionOf({ row = [], definition, read }: InboxBenchOptions): InboxDefinition<[typeof Account]> {
  return {
    name: 'payments',
    startAt: 'beginning',
    source: {
      name: 'row',
      open: () => ({
        place: async () => ({ id: '0', count: 0 }),
        read: async (after) => {
          const page = read?.(after)
          if (page !== undefined) return page
          const messages = row.slice(after.count, after.count + 50)
          if (messages.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
          const count = after.count + messages.length
          return { messages, place: { id: String(count), count }, lost: 0 }
        },
        close: async () => undefined,
      }),
    },
    to: [Account],
    map: ({ fields: { amount } }) => {
      const [command, payload] = [Number(amount) < 0 ? 'withdraw' : 'deposit', { amount: Math.abs(Number(amount)) }]
      return { aggregate: Account, id: 'anna', command, payload } as const
    },
    ...definition,
  } as InboxDefinition<[typeof Account]>
}
