/** `penhold drain`: takes the shards off a node, before it is stopped or its machine is taken away. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PenholdError } from '../aggregate/error.ts'
import type { Member, View } from '../cluster/leases.ts'
import { tellToDrain } from '../node/ask-member.ts'
import { openNetwork } from '../node/surroundings.ts'
import { complain } from './complaint.ts'
import { Exit, Failure, type Command, type Terminal } from './command.ts'
import { CONFIG_HELP, findCluster } from './config-file.ts'
import { lookAt, openClusterLeases } from './status.ts'

const LOOK_MS = 200
/** An emptied Redis knows no cluster until the next of its nodes beats, which is within a lease's time. */
const FORGOTTEN_LEASES = 2

export const drain: Command = {
  summary: 'hands the shards of a node to the others',
  help: `Tells a node to hand its shards to the other nodes, one at a time, and waits until it has none. Callers see no error.
The node goes on running without shards, until it is stopped (penhold start does the same by itself on SIGTERM); started
anew it takes shards again. One that is about to join is told too, and joins without shards.

  penhold drain NODE [--config FILE] [--json]

NODE is the name or the id of a node, as penhold status prints it.

  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object at the end and nothing else
  --help            print this

PENHOLD_REDIS and PENHOLD_SECRETS count instead of the config's.

Exit code: 0 the node has no shard, 1 it could not be told or there is nobody to take them, 2 usage, 130 interrupted
(the node goes on handing them over).`,
  options: { config: { type: 'string' } },
  operands: ['node'],
  async run(values, terminal, signal) {
    const { config } = await findCluster(values['config'], process.env)
    // Before Redis is asked: a secret that cannot work is told at once.
    const network = await openNetwork(config)
    const leases = await openClusterLeases(config)
    const look = (): Promise<View> => lookAt(config.name, leases)
    const patienceMs = FORGOTTEN_LEASES * config.timeouts.leaseMs
    try {
      const view = await settled({ look, signal, patienceMs: 0 })
      if (view === undefined) throw signal.reason
      const member = memberOf(view, String(values['node']))
      if (!hasHeirs(view, member)) {
        throw new Failure(`no other node is up to take the shards of ${member.name}; start one first`)
      }
      await tellToDrain(network, view.cluster, member)
      const isJson = values['json'] === true
      return await follow({ look, member, signal, patienceMs, terminal, isJson })
    } finally {
      await leases.close()
    }
  },
}

/** @throws Failure where it is none, or several */
function memberOf({ members }: View, node: string): Member {
  const found = members.filter(({ id, name }) => id === node || name === node)
  const [member] = found
  if (member !== undefined && found.length === 1) return member
  const known = members.map(({ name, id }) => `${name} (${id})`).join(', ')
  const [problem, what] =
    member === undefined
      ? [`there is no node '${node}'`, 'name or id']
      : [`'${node}' is the name of ${found.length} nodes`, 'id']
  throw new Failure(`${problem}, of ${known || 'none'}; give the ${what} of one, as penhold status lists them`)
}

function hasHeirs({ members }: View, { id }: Member): boolean {
  return members.some((member) => member.id !== id && member.state === 'up')
}

export interface Looking {
  readonly look: () => Promise<View>
  readonly signal: AbortSignal
  /** So long a cluster may be unknown. */
  readonly patienceMs: number
}

/** What Redis knows, once it knows everything; undefined where somebody pressed Ctrl-C before that. */
async function settled({ look, signal, patienceMs }: Looking): Promise<View | undefined> {
  const until = performance.now() + patienceMs
  while (!signal.aborted) {
    const view = await look().catch((error: unknown) => {
      if (isNotFound(error) && performance.now() < until) return undefined
      throw error
    })
    if (view?.isSettling === false) return view
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
  return undefined
}

function isNotFound(error: unknown): boolean {
  return error instanceof PenholdError && error.code === 'ClusterNotFound'
}

export interface Watch extends Looking {
  readonly member: Member
  readonly terminal: Terminal
  readonly isJson: boolean
}

/** Until it has none, says how many there are whenever they have become fewer. */
export async function follow({ member, terminal, isJson, ...looking }: Watch): Promise<Exit> {
  const { signal } = looking
  let shown: number | undefined
  while (!signal.aborted) {
    const view = await settled(looking)
    if (view === undefined) break
    const left = view.leases.filter((lease) => lease.member === member.id).length
    const now = view.members.find(({ id }) => id === member.id)
    if (left === 0 && now?.state !== 'up') {
      terminal.out(isJson ? JSON.stringify({ ...member, ...now, shards: left }) : `${member.name} has no shards`)
      return Exit.ok
    }
    if (!hasHeirs(view, member)) {
      throw new Failure(`no other node is up any more: ${member.name} keeps ${counted(left)}; start one first`)
    }
    if (left !== shown && !isJson) terminal.err(`${member.name} has ${counted(left)}`)
    shown = left
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
  const message = `interrupted: ${member.name} goes on handing over its shards; penhold status says how far it is`
  complain(terminal, { message }, isJson)
  return Exit.interrupted
}

function counted(shards: number): string {
  return shards === 1 ? '1 shard' : `${shards} shards`
}
