/** A node in a process of its own. Does what its supervisor says, and ends when that is gone. */
import {
  connect,
  PenholdError,
  Rejected,
  startNode,
  type Client,
  type Node,
  type Overrides,
  type PostgresModel,
  type ProjectionRef,
} from '../../src/index.ts'
import type { ProjectionStatus } from '../../src/read/projection-status.ts'
import { Account, type AccountState } from './account.ts'
import type {
  Answer,
  CallAnswer,
  FromNode,
  Heard,
  NodeCall,
  ProjectionCall,
  Request,
  Status,
  ToldStatus,
  ToNode,
} from './message.ts'
import { moveClock } from './moved-clock.ts'
import { projections } from './projections.ts'
import { react } from './reactions/at-node.ts'

const config = new URL('bank.config.ts', import.meta.url)
/** By their names the same as those of the config. */
const own = projections()
/** So long a question waits for the read model. */
const SEES_MS = 10_000
// Loaded before anything is opened, so that system calls can be counted from there.
await import(config.href)

function say(message: FromNode, then: () => void = () => undefined): void {
  // The supervisor may be gone; nobody waits for the answer then.
  process.send?.(message, then)
}

let opening: Promise<Node> | undefined
let overrides: Overrides = {}

async function open(message: ToNode & { readonly kind: 'open' }): Promise<Node> {
  const before = performance.now()
  overrides = message.overrides
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

async function answerCall(call: NodeCall): Promise<CallAnswer> {
  try {
    const node = await opening
    if (node === undefined) throw new Error('a call came before the node was to be opened')
    if (!('projection' in call)) return { kind: 'answered', value: await react(node, call) }
    const projection = own.find(({ name }) => name === call.projection)
    if (projection === undefined) throw new Error('the node has no such projection')
    return { kind: 'answered', value: await withProjection(node.projection(projection), call) }
  } catch (error) {
    return { kind: 'failed', code: error instanceof PenholdError ? error.code : String(error), message: String(error) }
  }
}

async function withProjection(projection: ProjectionRef<PostgresModel>, call: ProjectionCall): Promise<unknown> {
  switch (call.kind) {
    case 'sees': {
      const { stream, version, after } = call
      const ask = (sql: PostgresModel) =>
        sql.query('SELECT FROM entries WHERE (stream, version) = ($1, $2)', [stream, version])
      return (await projection.query(ask, { after, timeoutMs: SEES_MS })).rows.length
    }
    case 'status':
      return projectionStatusOf(await projection.status())
    case 'retry': {
      let done = 0
      const parked = await projection.parked({ limit: 10_000 })
      for (const stream of new Set(parked.map((event) => event.stream))) {
        done += (await projection.retryParked(stream)).done
      }
      return done
    }
    case 'pause':
    case 'resume':
    case 'rebuild':
    case 'resumeRebuild':
    case 'abortRebuild':
    case 'promote':
    case 'rollBack':
      return await projection[call.kind]()
  }
}

function projectionStatusOf({
  generation,
  state,
  lanes,
  rebuild,
  unfinished,
  trouble,
  lag,
}: ProjectionStatus): ToldStatus {
  const { state: rebuildState, isHeldBack = false } = rebuild ?? {}
  return {
    generation,
    state,
    lanes: lanes.length,
    rebuild: rebuildState,
    isHeldBack,
    unfinished,
    trouble,
    lagMs: lag?.ms,
  }
}

/** Tells of events as they come, those of one turn together. */
async function follow(node: Node, { follower, after, isClient }: ToNode & { readonly kind: 'follow' }): Promise<void> {
  let events: Heard[] = []
  const flush = (): void => {
    say({ kind: 'heard', follower, events })
    events = []
  }
  try {
    const { store } = isClient ? await connected() : node
    for await (const { stream, version, place } of store.subscribe(after === undefined ? {} : { after })) {
      if (events.length === 0) setImmediate(flush)
      events.push({ stream, version, place })
    }
  } catch (error) {
    say({ kind: 'deaf', follower, reason: String(error) })
  }
}

/** A client beside the node, which lives as long as the process does. */
async function connected(): Promise<Client> {
  const { redis, network = {} } = overrides
  for (;;) {
    try {
      return await connect(config, { network, ...(redis !== undefined && { redis }) })
    } catch (error) {
      // Redis is away, or nobody is there yet.
      if (!(error instanceof PenholdError && error.retryable)) throw error
    }
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
    case 'call':
      void answerCall(message.call).then((told) => say({ kind: 'called', request: message.request, answer: told }))
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
