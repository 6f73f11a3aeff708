/** What the nodes of a cluster say of its projections. */
import type { AllPlace } from '../read/all.ts'
import type { Member, View } from '../cluster/leases.ts'
import type { Network } from '../cluster/network.ts'
import { callProjection } from '../node/ask-member.ts'
import type { ToldWheels } from '../node/consumer-operation.ts'
import type { LocalInbox } from '../node/inboxes.ts'
import type { ConsumerStatus } from '../react/consumer-status.ts'
import type { ProjectionStatus } from '../read/projection-status.ts'

/** A node answers within about a second, or it hangs. */
const LIST_MS = 3_000

/** What one node says of one projection. */
export interface Sighting {
  readonly member: Member
  readonly status: ProjectionStatus
}

/** What all nodes say of all projections. */
export interface Sightings {
  readonly all: readonly Sighting[]
  /** Nodes that did not say anything, and why. */
  readonly silent: readonly { readonly member: Member; readonly reason: string }[]
}

/** Whether lanes of it run there, or the one that has come by a place. */
export function runs({ status }: Sighting, place?: AllPlace): boolean {
  return status.lanes.some(({ lane }) => place === undefined || lane === 'all' || lane === String(place.shard))
}

/** Asks one node. @throws ConnectionError, PenholdError */
export async function listProjections(network: Network, view: View, member: Member): Promise<readonly Sighting[]> {
  const statuses = (await list('list', network, { view, member })) as readonly ProjectionStatus[]
  return statuses.map((status) => ({ member, status }))
}

/** The same of reactors, processes, outboxes and timers. @throws ConnectionError, PenholdError */
export async function listReactors(network: Network, view: View, member: Member): Promise<readonly ConsumerStatus[]> {
  return (await list('reactor.list', network, { view, member })) as readonly ConsumerStatus[]
}

/** The inboxes that it runs. @throws ConnectionError, PenholdError */
export async function listInboxes(network: Network, view: View, member: Member): Promise<readonly LocalInbox[]> {
  return (await list('inbox.list', network, { view, member })) as readonly LocalInbox[]
}

/** How the timers of its shards are. @throws ConnectionError, PenholdError */
export async function listWheels(network: Network, view: View, member: Member): Promise<ToldWheels> {
  return (await list('reactor.wheels', network, { view, member })) as ToldWheels
}

async function list(
  call: string,
  network: Network,
  { view: { cluster }, member }: { readonly view: View; readonly member: Member },
): Promise<unknown> {
  const asked = { call, projection: '', options: {} }
  return await callProjection({ network, cluster, member }, asked, { ms: LIST_MS, isPatient: false })
}
