/** `penhold status`: who is in the cluster, who serves what, and how far behind its head each log is on disk. */
import { setTimeout as sleep } from 'node:timers/promises'
import { definitionError, PenholdError } from '../aggregate/error.ts'
import { clusterNotFound } from '../cluster/error.ts'
import type { Leases, View } from '../cluster/leases.ts'
import { ConnectionError, isRefusal, type Network } from '../cluster/network.ts'
import { measure } from '../node/ask-member.ts'
import type { ClusterConfig } from '../node/config.ts'
import { openLeases, openNetwork } from '../node/surroundings.ts'
import {
  reactionProblems,
  shownProjections,
  silentMembers,
  toJson,
  toText,
  unowned,
  type Answer,
  type Picture,
} from './cluster-picture.ts'
import { complain } from './complaint.ts'
import { Exit, type Command, type Terminal } from './command.ts'
import { CONFIG_HELP, findCluster } from './config-file.ts'
import { problems } from './projection-picture.ts'
import { listInboxes, listProjections, listReactors, listWheels } from './projection-sightings.ts'
import { outboxesApart } from './reactor-picture.ts'

const WATCH_MS = 1_000
const CLEAR = '\u001b[2J\u001b[H'

export const status: Command = {
  summary: 'says who is in the cluster and who serves what',
  help: `Says what Redis knows of a cluster, its nodes and the shards that each of their workers has a lease for; and what each
node says when it is asked: for each worker, whether it writes, its journal, and what it has decided and not yet made
durable (records, bytes, and how long the oldest has waited), and how its projections are, and its reactors and their like,
inboxes and timers where they wait, or have parked something (penhold reactors has all of them). Who serves what is decided by the log; a lease says who
may try, and follows it within a heartbeat. A node that does not answer within two seconds is shown as silent, one that turns this command away as refusing.

  penhold status [--config FILE] [--shards] [--watch] [--json]

  --config FILE     the cluster ${CONFIG_HELP}
  --shards          also each shard: its worker, its epoch, whether it is served, leaving or awaited, what is left of its
                    lease, its age (since it was renewed), its newest durable event, and how many are not durable yet
  --watch           again every second, until Ctrl-C
  --json            print a JSON object with all of it; with --watch, one a line
  --help            print this

PENHOLD_REDIS and PENHOLD_SECRETS count instead of the config's.

Exit code: 0 every shard has an owner, every node answers and every projection runs, 1 some shards have none, a node does
not answer or refuses, a projection, a reactor or an inbox is halted or runs nowhere, a reactor, an inbox or timers have waited
for a minute, or Redis cannot tell, 2 usage; with --watch, of what was printed last.`,
  options: { config: { type: 'string' }, shards: { type: 'boolean' }, watch: { type: 'boolean' } },
  async run(values, terminal, signal) {
    const { config } = await findCluster(values['config'], process.env)
    // Before Redis: what was not closed would keep the process.
    const network = await openNetwork(config)
    const leases = await openClusterLeases(config)
    const print = async (): Promise<Exit> => {
      const view = await lookAt(config.name, leases)
      const answers = await askAll(network, view)
      const { name, timeouts } = config
      const inboxes = config.inboxes.map((inbox) => inbox.name)
      const picture = { name, leaseMs: timeouts.leaseMs, view, answers, apart: outboxesApart(config), inboxes }
      const isJson = values['json'] === true
      const text = isJson ? JSON.stringify(toJson(picture)) : toText(picture, values['shards'] === true)
      const isRenewed = values['watch'] === true && terminal.isScreen && !isJson
      terminal.out(isRenewed ? `${CLEAR}${text}` : text)
      const projections = problems(shownProjections(picture))
      const told = [...silences(picture), ...projections, ...reactionProblems(picture)]
      if (!isJson) for (const message of told) complain(terminal, { message }, isJson)
      return unowned(view).length === 0 && told.length === 0 ? Exit.ok : Exit.failed
    }
    try {
      return values['watch'] === true
        ? await watch(print, { terminal, signal, isJson: values['json'] === true })
        : await print()
    } finally {
      await leases.close()
    }
  },
}

interface Watching {
  readonly terminal: Terminal
  readonly signal: AbortSignal
  readonly isJson: boolean
}

/** Also while Redis is away. Resolves to what was printed last. */
async function watch(print: () => Promise<Exit>, { terminal, signal, isJson }: Watching): Promise<Exit> {
  let exit: Exit = Exit.ok
  while (!signal.aborted) {
    exit = await print().catch((error: unknown) => {
      if (!(error instanceof PenholdError)) throw error
      complain(terminal, error, isJson)
      return Exit.failed
    })
    await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined)
  }
  return exit
}

/** @throws PenholdError `BadDefinition` where the config names no Redis */
export async function openClusterLeases(config: ClusterConfig): Promise<Leases> {
  if (config.redis !== undefined) return openLeases(config, config.redis)
  throw definitionError(
    `cluster '${config.name}' has no redis, so that it is one process alone: there is nothing to ask; set \`redis\` to run several nodes, or use /health/ready or \`penhold verify\`.`,
  )
}

/** The nodes in the order of their names. @throws PenholdError `ClusterNotFound`, `LeasesUnavailable` */
export async function lookAt(name: string, leases: Pick<Leases, 'look'>): Promise<View> {
  const view = await leases.look()
  if (view === undefined) throw clusterNotFound(name)
  const members = view.members.toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  return { ...view, members }
}

/** All at the same time, each for as long as a node may take. */
async function askAll(network: Network, view: View): Promise<ReadonlyMap<string, Answer>> {
  const { cluster, members } = view
  const asked = members.map(async (member): Promise<[string, Answer]> => {
    try {
      const [measured, projections = [], reactors = [], inboxes, wheels] = await Promise.all([
        measure(network, cluster, member),
        unlessOlder(listProjections(network, view, member)),
        unlessOlder(listReactors(network, view, member)),
        unlessOlder(listInboxes(network, view, member)),
        unlessOlder(listWheels(network, view, member)),
      ])
      return [member.id, { ...measured, projections, reactors, inboxes, wheels }]
    } catch (error) {
      if (error instanceof ConnectionError) {
        return [member.id, { silence: error.message, isRefused: isRefusal(error) }]
      }
      // Its address may not be called without a secret.
      if (!(error instanceof PenholdError)) throw error
      return [member.id, { silence: error.message, isRefused: true }]
    }
  })
  return new Map(await Promise.all(asked))
}

/** Undefined of a node whose version does not know of the question: it takes it for one about something without a name. */
async function unlessOlder<Told>(asked: Promise<Told>): Promise<Told | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof PenholdError && ['NotSupported', 'BadDefinition'].includes(error.code)) return undefined
    throw error
  }
}

function silences(picture: Picture): readonly string[] {
  return silentMembers(picture).map(({ name, silence, isRefused }) =>
    isRefused ? `${name} refuses: ${silence}` : `${name} does not say how far it is: ${silence}`,
  )
}
