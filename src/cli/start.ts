/** `penhold start`: one node, until it is told to stop. */
import { LIVE_PATH, READY_PATH } from '../node/health-endpoints.ts'
import { startNode } from '../node/node.ts'
import type { NodeStatus } from '../node/running-node.ts'
import { Exit, type Command } from './command.ts'
import { CONFIG_HELP, ENVIRONMENT_HELP, findCluster } from './config-file.ts'

const DAY_MS = 86_400_000

export const start: Command = {
  summary: 'runs a node until SIGTERM',
  help: `Runs a node, and says so in one line when it serves. SIGTERM or SIGINT lets it finish: what is under way is answered,
its shards are handed to the other nodes, and it leaves. A second one ends it at once, which loses nothing either, but
its shards wait for its leases to run out.

  penhold start [--config FILE] [--health HOST:PORT] [--json]

  --config FILE     the cluster ${CONFIG_HELP}
  --health HOST:PORT
                    answer probes there, at ${LIVE_PATH} and ${READY_PATH}; port 0 takes a free one. Counts
                    instead of PENHOLD_HEALTH and of health.listen in the config, without which it answers none
  --json            say it as a JSON object
  --help            print this

${ENVIRONMENT_HELP}

Exit code: 0 it was told to stop and has, 1 it could not start, 2 usage; ended by a second signal, that signal's.`,
  options: { config: { type: 'string' }, health: { type: 'string' } },
  async run(values, terminal, signal) {
    const { url, overrides: environment } = await findCluster(values['config'], process.env)
    const { health } = values
    const overrides = typeof health === 'string' ? { ...environment, health: { listen: health } } : environment
    // A node that is alone and inline has nothing else that keeps the process.
    const stay = setInterval(() => undefined, DAY_MS)
    try {
      await using node = await startNode(url, overrides)
      const status = await node.status()
      terminal.out(values['json'] === true ? JSON.stringify(toJson(status)) : toText(status))
      await aborted(signal)
      terminal.err('stopping')
    } finally {
      clearInterval(stay)
    }
    return Exit.ok
  },
}

/** Resolves once somebody wants it to end. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function toJson({ name, dataDir, workers, member, health }: NodeStatus): object {
  return { cluster: name, dataDir, workers: workers.length, ...(member && { member }), ...(health && { health }) }
}

function toText({ name, dataDir, workers, member, health }: NodeStatus): string {
  const who = member === undefined ? 'a node alone' : `node ${member.name} at ${member.address}`
  const probes = health === undefined ? '' : `, and answers probes at http://${health}${READY_PATH}`
  return `cluster '${name}': ${who} serves with ${workers.length} worker${workers.length === 1 ? '' : 's'} over ${dataDir}${probes}`
}
