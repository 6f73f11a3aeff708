/** `penhold outbox`: publishes in a process of its own what an outbox of the config takes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startOutbox, type OutboxProcess } from '../node/outbox-process.ts'
import type { ConsumerStatus } from '../react/consumer-status.ts'
import { complain } from './complaint.ts'
import { Exit, Failure, type Command, type Terminal } from './command.ts'
import { CONFIG_HELP, ENVIRONMENT_HELP, findCluster } from './config-file.ts'
import { createProgress } from './progress.ts'
import { aborted } from './start.ts'

const LOOK_MS = 100
const DAY_MS = 86_400_000

export const outbox: Command = {
  summary: 'publishes what an outbox takes, in a process of its own',
  help: `Publishes the events that an outbox of the config takes, until SIGTERM or SIGINT: what is under way then is published first.
Beside the nodes of a cluster, for an outbox that says runs: 'apart'; it needs their data directory, and owns no shard. One
process of an outbox is enough: a second would publish everything twice, which who takes messages has to know by their ids.
Where no redis is configured there is no node beside it: nothing else may run in the data directory.

  penhold outbox NAME [--once] [--config FILE] [--json]

  --once            end as soon as all is published that was there at the beginning
  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object and nothing else: with --once at the end, else when it has begun
  --help            print this

${ENVIRONMENT_HELP}

Exit code: 0 all is published (with --once), or it was told to stop and has; 1 it could not begin, or (with --once) some events
are parked, or a shard stands still; 2 usage; 130 interrupted before all was published (with --once). What takes no messages is
waited for.`,
  options: { config: { type: 'string' }, once: { type: 'boolean' } },
  operands: ['name'],
  async run(values, terminal, signal) {
    const { config } = await findCluster(values['config'], process.env)
    const name = String(values['name'])
    const isJson = values['json'] === true
    // Nothing else need hold the process.
    const stay = setInterval(() => undefined, DAY_MS)
    try {
      await using running = await startOutbox(config, name)
      if (values['once'] === true) return await publishOnce(running, { name, terminal, isJson }, signal)
      const { shards } = config
      terminal.out(isJson ? JSON.stringify({ outbox: name, shards }) : `outbox ${name} publishes, of ${shards} shards`)
      await aborted(signal)
      terminal.err('stopping')
      return Exit.ok
    } finally {
      clearInterval(stay)
    }
  },
}

interface Told {
  readonly name: string
  readonly terminal: Terminal
  readonly isJson: boolean
}

/** Until every shard has come to where its events ended when it was looked at first. */
async function publishOnce(
  running: OutboxProcess,
  { name, terminal, isJson }: Told,
  signal: AbortSignal,
): Promise<Exit> {
  const { show, end } = createProgress(terminal, `publishing ${name}`, (total) => ` of ${total} shards`)
  const heads = new Map<string, number>()
  try {
    while (!signal.aborted) {
      const status = await running.status()
      const reached = status.lanes.filter((lane) => {
        if (lane.head !== undefined && !heads.has(lane.lane)) heads.set(lane.lane, lane.head)
        return lane.lag !== undefined && lane.place.position >= (heads.get(lane.lane) ?? Number.POSITIVE_INFINITY)
      })
      if (status.state === 'halted' || status.state === 'paused') throw stuck(name, status)
      if (reached.length === status.lanes.length) return ended(status, { name, terminal, isJson })
      show(reached.length, status.lanes.length)
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
    }
  } finally {
    end()
  }
  const message = `interrupted: what ${name} has not published yet it publishes when it runs again`
  complain(terminal, { message }, isJson)
  return Exit.interrupted
}

function stuck(name: string, { state, trouble }: ConsumerStatus): Failure {
  const why = trouble === undefined ? '' : `: ${trouble}`
  return new Failure(`outbox ${name} is ${state}, and does not publish all that is there${why}`)
}

/** @throws Failure where not all that was there was published */
function ended({ events, parkedStreams }: ConsumerStatus, { name, terminal, isJson }: Told): Exit {
  const parked = `events of ${parkedStreams} ${parkedStreams === 1 ? 'stream' : 'streams'} are parked`
  if (parkedStreams > 0) throw new Failure(`outbox ${name} is at the end, and ${parked}; retry or skip them`)
  const said = `outbox ${name} has published what was there, of ${events} ${events === 1 ? 'event' : 'events'}`
  terminal.out(isJson ? JSON.stringify({ outbox: name, events, parkedStreams }) : said)
  return Exit.ok
}
