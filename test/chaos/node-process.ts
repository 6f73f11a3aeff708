/** A node in a process of its own. Does what its supervisor says, and ends when that is gone. */
import { PenholdError, Rejected, startNode, type Node } from '../../src/index.ts'
import { Account, type AccountState } from './account.ts'
import type { Answer, FromNode, Heard, Request, Status, ToNode } from './message.ts'
import { moveClock } from './moved-clock.ts'

const config = new URL('bank.config.ts', import.meta.url)
// Loaded before anything is opened, so that system calls can be counted from there.
await import(config.href)

function say(message: FromNode, then: () => void = () => undefined): void {
  // The supervisor may be gone; nobody waits for the answer then.
  process.send?.(message, then)
}

let opening: Promise<Node> | undefined

async function open(message: ToNode & { readonly kind: 'open' }): Promise<Node> {
  const before = performance.now()
  const node = await startNode(config, message.overrides)
  say({ kind: 'opened', ms: performance.now() - before })
  return node
}

async function answer({ account, call, timeoutMs }: Request): Promise<Answer> {
  try {
    const node = await opening
    if (node === undefined) throw new Error('a request came before the node was to be opened')
    const ref = node.ref(Account, account)
    const options = timeoutMs === undefined ? {} : { timeoutMs }
    if (call.kind === 'query') return { kind: 'shown', seen: await ref.query('look', undefined, options) }
    if (call.kind === 'state') {
      const moment = call.atVersion === undefined ? undefined : { atVersion: call.atVersion }
      return { kind: 'shown', seen: await ref.state(moment, options) }
    }
    const reply = await ref.ask(call.name, call.payload, { ...options, commandId: call.commandId })
    return { kind: 'accepted', version: reply.version, position: reply.position, events: reply.events.length }
  } catch (error) {
    if (error instanceof Rejected) return { kind: 'rejected', seen: error.details as AccountState }
    if (error instanceof PenholdError) {
      return { kind: 'failed', code: error.code, outcome: error.outcome, message: error.message }
    }
    // The node could not be opened: it has done nothing.
    return { kind: 'failed', code: 'NotOpened', outcome: 'none', message: String(error) }
  }
}

async function statusOf(node: Node): Promise<Status> {
  const { workerRestarts, cluster } = await node.status()
  const { members = [], leases = [], isSettling = false } = cluster ?? {}
  return { workerRestarts, members: members.length, leases: leases.length, isSettling }
}

/** Tells of events as they come, those of one turn together. */
async function follow(node: Node, { follower, after }: ToNode & { readonly kind: 'follow' }): Promise<void> {
  let events: Heard[] = []
  const flush = (): void => {
    say({ kind: 'heard', follower, events })
    events = []
  }
  try {
    for await (const { stream, version, place } of node.store.subscribe(after === undefined ? {} : { after })) {
      if (events.length === 0) setImmediate(flush)
      events.push({ stream, version, place })
    }
  } catch (error) {
    say({ kind: 'deaf', follower, reason: String(error) })
  }
}

function close(): void {
  void opening?.then((node) => node.close()).then(() => process.disconnect())
}

process.on('message', (message: ToNode) => {
  switch (message.kind) {
    case 'open':
      opening = open(message)
      opening.catch((error: unknown) => {
        const reason = error instanceof PenholdError ? `${error.code}: ${error.message}` : String(error)
        say({ kind: 'refused', reason }, () => process.disconnect())
      })
      break
    case 'request':
      void answer(message).then((told) => say({ kind: 'answer', request: message.request, answer: told }))
      break
    case 'status':
      void opening?.then(async (node) => say({ kind: 'status', status: await statusOf(node) }))
      break
    case 'follow':
      void opening?.then((node) => follow(node, message))
      break
    case 'clock':
      moveClock(message.ms)
      break
    case 'close':
      close()
      break
  }
})
process.on('SIGTERM', close)
process.on('disconnect', () => process.exit())
say({ kind: 'booted' })
