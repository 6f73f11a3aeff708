/** Asking a node from outside, over a connection for control: to hand its shards over, how far its workers are, and for its projections. */
import { randomUUID } from 'node:crypto'
import { fromFailure } from '../actor/error.ts'
import { decodeControl, encodeControl, type ControlMessage, type NodeMeasure } from '../cluster/control.ts'
import { knowsNoCalls } from '../cluster/error.ts'
import type { ClusterMark, Member } from '../cluster/leases.ts'
import { ConnectionError, type Connection, type Network } from '../cluster/network.ts'
import { PROJECTION_CALLS_SINCE, type ProjectionCall } from '../cluster/projection-call.ts'
import { every, type Cancel } from '../log/clock.ts'
import { systemClock } from '../platform/system.ts'
import { PROTOCOL_VERSION } from '../cluster/wire.ts'
import { hashOf } from './cluster-side.ts'

const DRAIN_MS = 5_000
/** A node answers within a second, or it hangs; status should not. */
const MEASURE_MS = 2_000
const CONNECT_MS = 3_000
const PING_MS = 1_000

export interface Callee {
  readonly network: Network
  readonly cluster: ClusterMark
  readonly member: Member
}

/** Resolves when it was told; what becomes of it, the lease store tells. @throws ConnectionError */
export async function tellToDrain(network: Network, cluster: ClusterMark, member: Member): Promise<void> {
  // What is said on a connection is taken in order: the answer to the ping says that it was told.
  const questions: ControlMessage[] = [{ kind: 'drain' }, { kind: 'ping' }]
  await ask({ network, cluster, member }, questions, { kind: 'pong', ms: DRAIN_MS })
}

/** How far its workers are. @throws ConnectionError; also where it is of a version that does not know the question */
export async function measure(network: Network, cluster: ClusterMark, member: Member): Promise<NodeMeasure> {
  return ask({ network, cluster, member }, [{ kind: 'measure' }], { kind: 'measured', ms: MEASURE_MS })
}

export interface CallOptions {
  /** The answer comes within so long; where the caller is patient, anything does, as an answer to a ping. */
  readonly ms: number
  readonly isPatient: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Calls a projection that the node has.
 * @throws what the call throws there; PenholdError `NotSupported` where the node does not know of calls; ConnectionError;
 * the signal's reason
 */
export async function callProjection(
  callee: Callee,
  call: Omit<ProjectionCall, 'request'>,
  { ms, isPatient, signal }: CallOptions,
): Promise<unknown> {
  const connection = await connectTo(callee, CONNECT_MS)
  const stopPinging = every(systemClock, PING_MS, () => connection.send(encodeControl({ kind: 'ping' })))
  try {
    // One of an older version closes the connection, and says to its operator that nonsense came.
    if (connection.protocol < PROJECTION_CALLS_SINCE) throw knowsNoCalls(callee.member.name)
    signal?.throwIfAborted()
    connection.send(encodeControl({ kind: 'projection', request: 1, ...call }))
    const { outcome } = await answerOf(connection, {
      kind: 'projection-answer',
      ms,
      isPatient,
      signal,
    })
    if ('failure' in outcome) throw fromFailure(outcome.failure)
    return outcome.value
  } finally {
    stopPinging()
    connection.close()
  }
}

/** Resolves to the first message of the kind. */
async function ask<Kind extends ControlMessage['kind']>(
  callee: Callee,
  questions: readonly ControlMessage[],
  { kind, ms }: { readonly kind: Kind; readonly ms: number },
): Promise<ControlMessage & { readonly kind: Kind }> {
  const connection = await connectTo(callee, ms)
  try {
    for (const question of questions) connection.send(encodeControl(question))
    return await answerOf(connection, { kind, ms, isPatient: false, signal: undefined })
  } finally {
    connection.close()
  }
}

async function connectTo({ network, cluster, member }: Callee, timeoutMs: number): Promise<Connection> {
  const greeting = { role: 'client', purpose: 'control', protocol: PROTOCOL_VERSION, member: randomUUID() } as const
  const connection = await network.connect(
    member.address,
    { ...greeting, cluster: hashOf(cluster.clusterId) },
    { timeoutMs },
  )
  if (connection.peer.member === member.id) return connection
  connection.close()
  throw new ConnectionError('stranger', `another node answers at ${member.address}`)
}

interface Awaited<Kind> {
  readonly kind: Kind
  /** The answer comes within so long; where the caller is patient, anything at all does. */
  readonly ms: number
  readonly isPatient: boolean
  readonly signal: AbortSignal | undefined
}

function answerOf<Kind extends ControlMessage['kind']>(
  connection: Connection,
  { kind, ms, isPatient, signal }: Awaited<Kind>,
): Promise<ControlMessage & { readonly kind: Kind }> {
  return new Promise((resolve, reject) => {
    const late = new ConnectionError('timeout', `it did not answer within ${ms} ms`)
    const wait = (): Cancel => systemClock.afterAlive(ms, () => reject(late))
    let cancel = wait()
    let isOver = false
    const end = (settle: () => void): void => {
      isOver = true
      cancel()
      signal?.removeEventListener('abort', abort)
      settle()
    }
    const abort = (): void => end(() => reject(signal?.reason as Error))
    signal?.addEventListener('abort', abort)
    connection.onClose(({ kind: why, message }) => end(() => reject(new ConnectionError(why, message))))
    connection.onFrame((frame) => {
      try {
        const message = decodeControl(frame)
        if (isOf(message, kind)) return end(() => resolve(message))
        // More may come in the same piece as the answer.
        if (!isPatient || isOver) return
        cancel()
        cancel = wait()
      } catch (error) {
        end(() => reject(new ConnectionError('stranger', 'it sends what no node says', error)))
      }
    })
  })
}

function isOf<Kind extends ControlMessage['kind']>(
  message: ControlMessage,
  kind: Kind,
): message is ControlMessage & { readonly kind: Kind } {
  return message.kind === kind
}
