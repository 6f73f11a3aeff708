/** `penhold projection`: how the projections of a cluster are, and what operators do with them. */
import { complain } from './complaint.ts'
import { Exit, type Command, type CommandGroup } from './command.ts'
import { CONFIG_HELP } from './config-file.ts'
import { withProjections, type ProjectionCluster } from './projection-cluster.ts'
import { runs, type Sighting } from './projection-sightings.ts'
import { parked } from './projection-parked.ts'
import { describe, problems, projectionTable, shownOf, toJson } from './projection-picture.ts'
import { rebuild } from './projection-rebuild.ts'

const OPTIONS = { config: { type: 'string' } } as const
const OPTIONS_HELP = `  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object and nothing else
  --help            print this`

const list: Command = {
  summary: 'says how all projections are',
  help: `Lists the projections of a cluster with the node that runs each: its state, how far it is behind the log's head, how many
streams have parked events, and how far a rebuild is.

  penhold projection list [--config FILE] [--json]

${OPTIONS_HELP}

States: running, caught up, waiting (something fails and is tried again), paused (by hand), halted (until somebody mends
what its trouble says, and resumes it), nowhere (no node runs it at the moment).

Exit code: 0 all is well, 1 one is halted or runs nowhere, or a node does not answer, 2 usage.`,
  options: OPTIONS,
  async run(values, terminal, signal) {
    const isJson = values['json'] === true
    return await withProjections(values, signal, async (cluster) => {
      const { all, silent } = await cluster.look()
      const shown = shownOf({ all })
      if (isJson) terminal.out(JSON.stringify({ projections: toJson(shown) }))
      else terminal.out(shown.length === 0 ? `'${cluster.name}' has no projections` : projectionTable(shown))
      const silences = silent.map(
        ({ member, reason }) => `${member.name} does not say how its projections are: ${reason}`,
      )
      const told = [...problems(shown), ...silences]
      if (!isJson) for (const message of told) complain(terminal, { message }, isJson)
      return told.length === 0 ? Exit.ok : Exit.failed
    })
  },
}

const status: Command = {
  summary: 'says how one projection is',
  help: `Says all that the node which runs a projection knows of it: generations, state, lag, what is parked, what troubles it, and
how far a rebuild is. With --json also each of its lanes.

  penhold projection status NAME [--config FILE] [--json]

${OPTIONS_HELP}

Exit code: 0 it runs, or is paused, 1 it is halted or no node runs it, 2 usage.`,
  options: OPTIONS,
  operands: ['name'],
  async run(values, terminal, signal) {
    const name = String(values['name'])
    const isJson = values['json'] === true
    return await withProjections(values, signal, async (cluster) => {
      const shown = shownOf({ all: await cluster.sightings(name) })
      if (isJson) terminal.out(JSON.stringify({ projections: toJson(shown) }))
      else for (const { sighting } of shown) if (sighting !== undefined) terminal.out(describe(sighting))
      const told = problems(shown)
      if (!isJson) for (const message of told) complain(terminal, { message }, isJson)
      return told.length === 0 ? Exit.ok : Exit.failed
    })
  },
}

interface Act {
  readonly word: string
  readonly call: string
  readonly summary: string
  /** What it does, for --help. */
  readonly what: string
  readonly whom: (cluster: ProjectionCluster, name: string) => Promise<readonly [Sighting, ...Sighting[]]>
  /** What was done; `result` is what the call came to. */
  readonly done: (name: string, result: unknown) => string
}

/** One that the node does which runs the projection. */
function act({ word, call, summary, what, whom, done }: Act): Command {
  return {
    summary,
    help: `${what}\n\n  penhold projection ${word} NAME [--config FILE] [--json]\n\n${OPTIONS_HELP}\n\nExit code: 0 it is done, 1 it could not be done, 2 usage.`,
    options: OPTIONS,
    operands: ['name'],
    async run(values, terminal, signal) {
      const name = String(values['name'])
      return await withProjections(values, signal, async (cluster) => {
        const [first, ...others] = await whom(cluster, name)
        const result = await cluster.call(first.member, { call, projection: name })
        for (const { member } of others) await cluster.call(member, { call, projection: name })
        const json = {
          projection: name,
          node: first.member.name,
          ...(typeof result === 'number' && { generation: result }),
        }
        terminal.out(values['json'] === true ? JSON.stringify(json) : done(name, result))
        return Exit.ok
      })
    },
  }
}

async function runner(cluster: ProjectionCluster, name: string): Promise<readonly [Sighting]> {
  return [await cluster.runner(name)]
}

/** Also those that could not begin: each has opened the store, or not, for itself. */
async function whoeverStandsStill(
  cluster: ProjectionCluster,
  name: string,
): Promise<readonly [Sighting, ...Sighting[]]> {
  const found = await cluster.sightings(name)
  const [first, ...others] = found.filter((sighting) => runs(sighting) || sighting.status.state === 'halted')
  return first === undefined ? [await cluster.runner(name)] : [first, ...others]
}

const pause = act({
  word: 'pause',
  call: 'pause',
  summary: 'stops one between two batches, until it is resumed',
  what: `Stops a projection between two batches, and with it a rebuild. It stays paused, at whatever node it runs next and whenever
that is started, until it is resumed; queries go on, with what it has.`,
  whom: runner,
  done: (name) => `${name} is paused, until it is resumed`,
})

const resume = act({
  word: 'resume',
  call: 'resume',
  summary: 'lets one go on that is paused or has halted',
  what: 'Lets a projection go on that was paused, and tries again at once what has halted it.',
  whom: whoeverStandsStill,
  done: (name) => `${name} goes on`,
})

const rollback = act({
  word: 'rollback',
  call: 'rollBack',
  summary: 'goes back to the generation before the live one',
  what: `Queries see the generation before the live one again, from now on; it goes on from where it stood. The one that was live is
kept: penhold projection rebuild NAME --resume makes it live again, --abort drops it.`,
  whom: runner,
  done: (name, generation) =>
    `generation ${String(generation)} of ${name} is live again; the other is kept: penhold projection rebuild ${name} --resume, or --abort`,
})

const promote = act({
  word: 'promote',
  call: 'promote',
  summary: 'lets a rebuilt generation go live with parked events',
  what: `A rebuilt generation that has parked events does not go live by itself: this lets it, once it has caught up. Its parked
events stay parked.`,
  whom: runner,
  done: (name) => `${name} goes live as it was rebuilt, once it has caught up`,
})

const commands: CommandGroup['commands'] = { list, status, rebuild, pause, resume, rollback, promote, parked }

export const projection: CommandGroup = {
  summary: 'says how projections are, rebuilds and pauses them',
  help: `Usage: penhold projection COMMAND [NAME] [OPTIONS]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}

penhold projection COMMAND --help says more. The commands ask the cluster's running nodes, over the connections that nodes
use among themselves: so they need Redis and the secret (PENHOLD_REDIS and PENHOLD_SECRETS count instead of the config's). A
node alone, whose config has no redis, they cannot reach: there, call node.projection(P) in its program.`,
  commands,
}
