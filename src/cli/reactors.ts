/** `penhold reactors`: which reactors hang on which event, and how they are. */
import type { ConsumerStatus } from '../react/consumer-status.ts'
import type { ClusterConfig } from '../node/config.ts'
import type { Reactor } from '../react/reactor.ts'
import { complain } from './complaint.ts'
import { Exit, type Command, type CommandGroup } from './command.ts'
import { CONFIG_HELP, findCluster } from './config-file.ts'
import { withProjections } from './projection-cluster.ts'
import { outboxesApart, problemsOf, shownOf, type Shown } from './reactor-picture.ts'
import { table } from './table.ts'

const OPTIONS_HELP = `  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object and nothing else
  --help            print this`

const OPTIONS = { config: { type: 'string' } } as const

/** One handler. */
interface Hanging {
  /** `type/Event`; `*` for events of whatever stream. */
  readonly event: string
  readonly reactor: string
  readonly mode: Reactor['mode']
  readonly onFailure: Reactor['onFailure']
}

export const reactors: Command = {
  summary: 'says which reactors hang on which event, and how they are',
  help: `Prints the table by which events are given to reactors, and, where nodes run, how each reactor is.

  penhold reactors [--config FILE] [--json]

${OPTIONS_HELP}

States: running, caught up, waiting (something fails and is tried again), paused (by hand), halted (until somebody mends
what its trouble says, and resumes it), nowhere (no node runs it at the moment), apart (an outbox with a process of its
own: no node knows how it is). What waits is told with what it waits for. A node alone, whose config has no redis, is reached by no
command: of it there is the table alone.

Exit code: 0 all is well, 1 one is halted, runs nowhere or has waited for a minute, or a node does not answer, 2 usage.`,
  options: OPTIONS,
  async run(values, terminal, signal) {
    const { config } = await findCluster(values['config'], process.env)
    const isJson = values['json'] === true
    const hanging = hangingOf(config)
    const say = (shown: readonly Shown[] | undefined): void => {
      if (isJson) terminal.out(JSON.stringify({ events: hanging, ...(shown && { reactors: shown }) }))
      else terminal.out(pictureOf(config.name, hanging, shown))
    }
    // A node alone is reached by no command; its table is in its config.
    if (config.redis === undefined) {
      say(undefined)
      return Exit.ok
    }
    return await withProjections(values, signal, async (cluster) => {
      const { answers, silent } = await cluster.callAll({ call: 'reactor.list', projection: '' })
      const statuses = answers.flatMap(({ value }) => value as readonly ConsumerStatus[])
      const shown = shownOf(statuses, outboxesApart(config))
      say(shown)
      const told = [
        ...problemsOf(shown),
        ...silent.map(({ member, reason }) => `${member.name} does not say how its reactors are: ${reason}`),
      ]
      if (!isJson) for (const message of told) complain(terminal, { message }, isJson)
      return told.length === 0 ? Exit.ok : Exit.failed
    })
  },
}

/** The same at all nodes. */
function act(word: 'pause' | 'resume', what: string, done: (name: string) => string): Command {
  return {
    summary: `${word}s one, at all nodes`,
    help: `${what}\n\n  penhold reactor ${word} NAME [--config FILE] [--json]\n\n${OPTIONS_HELP}\n\nExit code: 0 it is done, 1 it could not be done, 2 usage.`,
    options: OPTIONS,
    operands: ['name'],
    async run(values, terminal, signal) {
      const name = String(values['name'])
      return await withProjections(values, signal, async (cluster) => {
        await cluster.callAny({ call: `reactor.${word}`, projection: name })
        terminal.out(values['json'] === true ? JSON.stringify({ reactor: name }) : done(name))
        return Exit.ok
      })
    },
  }
}

const pause = act(
  'pause',
  `No handler of the reactor begins any more, at whatever node and whenever that is started, until it is resumed. What is under
way goes on.`,
  (name) => `${name} is paused, until it is resumed`,
)

const resume = act(
  'resume',
  'Lets a reactor go on that was paused, and tries again what has halted it.',
  (name) => `${name} goes on`,
)

export const reactor: CommandGroup = {
  summary: 'pauses and resumes a reactor',
  help: `Usage: penhold reactor COMMAND NAME [OPTIONS]

  pause     ${pause.summary}
  resume    ${resume.summary}

penhold reactor COMMAND --help says more. Which there are: penhold reactors. What they have put aside: penhold parked. The
commands ask the cluster's running nodes, and so need Redis and the secret (PENHOLD_REDIS and PENHOLD_SECRETS count instead of
the config's). A node alone, whose config has no redis, they cannot reach: there, call node.reactor(R) in its program.`,
  commands: { pause, resume },
}

/** By event, then by reactor. */
export function hangingOf({ reactors: all }: Pick<ClusterConfig, 'reactors'>): readonly Hanging[] {
  const hanging = all.flatMap(({ name, from, on, mode, onFailure }) =>
    Object.keys(on).flatMap((type) => {
      const own =
        from === 'all' ? ['*'] : from.filter(({ events }) => type in events).map((aggregate) => aggregate.type)
      return own.map((category) => ({ event: `${category}/${type}`, reactor: name, mode, onFailure }))
    }),
  )
  return hanging.toSorted((a, b) => compare(a.event, b.event) || compare(a.reactor, b.reactor))
}

function pictureOf(cluster: string, hanging: readonly Hanging[], shown: readonly Shown[] | undefined): string {
  if (hanging.length === 0 && (shown ?? []).length === 0) return `'${cluster}' has no reactors`
  const events = hanging.map((each) => [each.event, each.reactor, each.mode, each.onFailure])
  const states = (shown ?? []).map((each) => [
    each.name,
    each.kind,
    each.state,
    each.shards,
    each.halted,
    each.parkedStreams,
  ])
  const waits = (shown ?? []).flatMap(({ kind, name, state, trouble }) =>
    state === 'waiting' && trouble !== undefined ? [`${kind} ${name} waits, and tries again: ${trouble}`] : [],
  )
  const blocks = [
    ...(events.length === 0 ? [] : [table([['EVENT', 'REACTOR', 'MODE', 'ON FAILURE'], ...events])]),
    ...(states.length === 0
      ? []
      : [table([['NAME', 'KIND', 'STATE', 'SHARDS', 'HALTED', 'PARKED STREAMS'], ...states])]),
    ...(waits.length === 0 ? [] : [waits.join('\n')]),
  ]
  return blocks.join('\n\n')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
