/** Telling a node from outside to hand its shards over. */
import { randomUUID } from 'node:crypto'
import { decodeControl, encodeControl } from '../cluster/control.ts'
import type { ClusterMark, Member } from '../cluster/leases.ts'
import { ConnectionError, type Network } from '../cluster/network.ts'
import { hashOf, PROTOCOL_VERSION } from './cluster-side.ts'

const CONNECT_MS = 5_000

/** Resolves when it was told; what becomes of it, the lease store tells. @throws ConnectionError */
export async function tellToDrain(network: Network, { clusterId }: ClusterMark, member: Member): Promise<void> {
  const greeting = { role: 'client', purpose: 'control', protocol: PROTOCOL_VERSION, member: randomUUID() } as const
  const connection = await network.connect(
    member.address,
    { ...greeting, cluster: hashOf(clusterId) },
    { timeoutMs: CONNECT_MS },
  )
  const answered = Promise.withResolvers<undefined>()
  connection.onClose(({ kind, message }) => answered.reject(new ConnectionError(kind, message)))
  try {
    if (connection.peer.member !== member.id) {
      throw new ConnectionError('stranger', `another node answers at ${member.address}`)
    }
    // What is said on a connection is taken in order: the answer to the ping says that it was told.
    connection.send(encodeControl({ kind: 'drain' }))
    connection.send(encodeControl({ kind: 'ping' }))
    connection.onFrame((frame) => {
      if (decodeControl(frame).kind === 'pong') answered.resolve(undefined)
    })
    await answered.promise
  } finally {
    connection.close()
  }
}
