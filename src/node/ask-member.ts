/** Asking a node from outside, over a connection for control: to hand its shards over, and how far its workers are. */
import { randomUUID } from 'node:crypto'
import { decodeControl, encodeControl, type ControlMessage, type NodeMeasure } from '../cluster/control.ts'
import type { ClusterMark, Member } from '../cluster/leases.ts'
import { ConnectionError, type Connection, type Network } from '../cluster/network.ts'
import { systemClock } from '../platform/system.ts'
import { PROTOCOL_VERSION } from '../cluster/wire.ts'
import { hashOf } from './cluster-side.ts'

const DRAIN_MS = 5_000
/** A node answers within a second, or it hangs; status should not. */
const MEASURE_MS = 2_000

/** Resolves when it was told; what becomes of it, the lease store tells. @throws ConnectionError */
export async function tellToDrain(network: Network, cluster: ClusterMark, member: Member): Promise<void> {
  // What is said on a connection is taken in order: the answer to the ping says that it was told.
  const questions: ControlMessage[] = [{ kind: 'drain' }, { kind: 'ping' }]
  await ask({ network, cluster, member, ms: DRAIN_MS }, questions, 'pong')
}

/** How far its workers are. @throws ConnectionError; also where it is of a version that does not know the question */
export async function measure(network: Network, cluster: ClusterMark, member: Member): Promise<NodeMeasure> {
  return ask({ network, cluster, member, ms: MEASURE_MS }, [{ kind: 'measure' }], 'measured')
}

interface Callee {
  readonly network: Network
  readonly cluster: ClusterMark
  readonly member: Member
  /** For the connection, and for the answer, each. */
  readonly ms: number
}

/** Resolves to the first message of the kind. */
async function ask<Kind extends ControlMessage['kind']>(
  { network, cluster, member, ms }: Callee,
  questions: readonly ControlMessage[],
  kind: Kind,
): Promise<ControlMessage & { readonly kind: Kind }> {
  const greeting = { role: 'client', purpose: 'control', protocol: PROTOCOL_VERSION, member: randomUUID() } as const
  const cluster16 = hashOf(cluster.clusterId)
  const connection = await network.connect(member.address, { ...greeting, cluster: cluster16 }, { timeoutMs: ms })
  try {
    if (connection.peer.member !== member.id) {
      throw new ConnectionError('stranger', `another node answers at ${member.address}`)
    }
    for (const question of questions) connection.send(encodeControl(question))
    return await answerOf(connection, { kind, ms })
  } finally {
    connection.close()
  }
}

function answerOf<Kind extends ControlMessage['kind']>(
  connection: Connection,
  { kind, ms }: { readonly kind: Kind; readonly ms: number },
): Promise<ControlMessage & { readonly kind: Kind }> {
  return new Promise((resolve, reject) => {
    const late = new ConnectionError('timeout', `it did not answer within ${ms} ms`)
    const cancel = systemClock.afterAlive(ms, () => reject(late))
    const end = (settle: () => void): void => (cancel(), settle())
    connection.onClose(({ kind: why, message }) => end(() => reject(new ConnectionError(why, message))))
    connection.onFrame((frame) => {
      try {
        const message = decodeControl(frame)
        if (isOf(message, kind)) end(() => resolve(message))
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
