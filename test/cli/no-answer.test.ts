/** A command whose question no node answers: what is wrong, and what to do. */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { Failure } from '../../src/cli/command.ts'
import { ProjectionCluster } from '../../src/cli/projection-cluster.ts'
import type { Leases, Member } from '../../src/cluster/leases.ts'
import { ConnectionError, type Network } from '../../src/cluster/network.ts'
import { defineCluster } from '../../src/index.ts'
import { Account } from '../account.ts'

const CALL = { call: 'reactor.pause', projection: 'mails' } as const
const HINT = 'see that they run and are reached from here, with the secret or the certificates that they have'

/** Its nodes are called so, and none of them is reached. */
function cluster(...names: readonly string[]): ProjectionCluster {
  const members = names.map((name) => ({ id: `id-${name}`, name, address: '127.0.0.1:1' }) as Member)
  const network = {
    connect: () => Promise.reject(new ConnectionError('unreachable', 'connect ECONNREFUSED')),
  } as unknown as Network
  const leases = {
    look: async () => ({ members, leases: [], cluster: { clusterId: randomUUID(), shards: 1 } }),
  } as unknown as Leases
  const config = defineCluster({ name: 'shop', aggregates: [Account], dataDir: 'data' })
  return new ProjectionCluster(config, { network, leases, signal: new AbortController().signal })
}

test('where none answers that is told with the reasons, and with what to look at', async () => {
  const none = `no node of 'shop' answers (first: connect ECONNREFUSED, second: connect ECONNREFUSED); ${HINT}`
  await expect(cluster('first', 'second').callAny(CALL)).rejects.toThrow(new Failure(none))
  await expect(cluster('first').sightings('sums')).rejects.toThrow(
    new Failure(`no node of 'shop' answers (first: connect ECONNREFUSED); ${HINT}`),
  )
})

test('where none runs, one is to be started', async () => {
  await expect(cluster().callAny(CALL)).rejects.toThrow(
    new Failure("no node of 'shop' runs; start one, with penhold start"),
  )
  await expect(cluster().sightings('sums')).rejects.toThrow(
    new Failure("no node of 'shop' that answers has a projection 'sums'; start one whose config has it"),
  )
})
