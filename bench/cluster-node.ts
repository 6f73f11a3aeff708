/** A node in a process of its own, which also drives: it asks its own shards and those of the other nodes. */
import { StreamPlacement } from '../src/log/stream.ts'
import { startNode, type Node, type Overrides } from '../src/index.ts'
import { Account } from './account.ts'
import { customersOf, drive, openAccounts, type Customer } from './customer.ts'
import { createRandom } from './random.ts'
import { collectGarbage } from './sample.ts'

export type Job =
  | { readonly kind: 'start'; readonly overrides: Overrides; readonly accounts: number; readonly seed: number }
  | { readonly kind: 'open' }
  /** Only accounts whose shards are here, or elsewhere; or all. */
  | { readonly kind: 'drive'; readonly inFlight: number; readonly seconds: number; readonly where: Where }
  /** How many shards this node serves. */
  | { readonly kind: 'count' }
  /** What was acknowledged here, by account. */
  | { readonly kind: 'book' }
  /** What the accounts have. */
  | { readonly kind: 'look' }
  | { readonly kind: 'close' }

export type Where = 'here' | 'elsewhere' | 'anywhere'

/** By account: events, and the balance. */
export type Book = readonly (readonly [version: number, balance: number])[]

let node: Node
let random: () => number
let customers: readonly Customer[] = []

async function run(job: Job): Promise<unknown> {
  switch (job.kind) {
    case 'start':
      node = await startNode(new URL('bank.config.ts', import.meta.url), job.overrides)
      customers = customersOf(node, 'account', job.accounts)
      random = createRandom(job.seed)
      return undefined
    case 'open':
      return openAccounts(customers)
    case 'drive':
      collectGarbage()
      return drive(await those(job.where), { ...job, random })
    case 'count':
      return (await node.status()).workers.reduce((sum, worker) => sum + (worker?.shards.length ?? 0), 0)
    case 'book':
      return customers.map(({ version, balance }) => [version, balance])
    case 'look':
      return Promise.all(
        // Opening an account twice changes nothing, and the reply says at which version it is.
        customers.map(async ({ id, ref }) => [
          (await ref.ask('open', { owner: id })).version,
          await ref.query('balance'),
        ]),
      )
    case 'close':
      return node.close()
  }
}

async function those(where: Where): Promise<readonly Customer[]> {
  if (where === 'anywhere') return customers
  const { cluster, member } = await node.status()
  if (cluster === undefined || member === undefined) throw new Error('a node that is alone has everything here')
  const { clusterId, shards } = cluster.cluster
  const placement = new StreamPlacement(clusterId, shards)
  const owners = new Map(cluster.leases.map((lease) => [lease.shard, lease.member]))
  return customers.filter(({ id }) => {
    const isHere = owners.get(placement.shardOf(`${Account.type}/${id}`)) === member.id
    return isHere === (where === 'here')
  })
}

process.on('message', ({ number, job }: { readonly number: number; readonly job: Job }) => {
  void run(job).then(
    (value) => process.send!({ number, value }),
    (error: unknown) => process.send!({ number, error: String(error) }),
  )
})

// Whoever measures is gone, however it ended.
process.once('disconnect', () => process.exit())
