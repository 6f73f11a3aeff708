/** `penhold reactors`: what hangs on which event, and how all that takes events or messages is. */
import type { ConsumerStatus } from '../react/consumer-status.ts'
import type { ClusterConfig } from '../node/config.ts'
import type { ToldWheels } from '../node/consumer-operation.ts'
import type { LocalInbox } from '../node/inboxes.ts'
import type { ToldSchedule } from '../node/schedules.ts'
import { complain } from './complaint.ts'
import { Exit, type Command, type CommandGroup } from './command.ts'
import { CONFIG_HELP, findCluster } from './config-file.ts'
import { hangingOf, hangingTable, type Hanging } from './hanging.ts'
import { inboxNotes, inboxProblems, inboxTable, shownInboxes, type ShownInbox } from './inbox-picture.ts'
import { withProjections, type ProjectionCluster } from './projection-cluster.ts'
import { notesOf, outboxesApart, problemsOf, shownOf, type Shown } from './reactor-picture.ts'
import { scheduleProblems, scheduleTable, shownSchedules, type ShownSchedule } from './schedule-picture.ts'
import { table } from './table.ts'
import { shownWheels, wheelNotes, wheelProblems, type ShownWheels } from './wheel-picture.ts'

const OPTIONS_HELP = `  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object and nothing else
  --help            print this`

const OPTIONS = { config: { type: 'string' } } as const

export const reactors: Command = {
  summary: 'says what reacts to which event, and how reactors, processes, outboxes, inboxes, timers and schedules are',
  help: `Prints the table by which events are given to reactors, processes and outboxes; and, where nodes run, how each of these is,
how each inbox is, when each schedule runs next, what waits with what, and what has parked something.

  penhold reactors [--config FILE] [--json]

${OPTIONS_HELP}

States: running, caught up, waiting (something fails and is tried again), paused (by hand), halted (until somebody mends
what its trouble says, and resumes it), nowhere (no node runs it at the moment), apart (an outbox with a process of its
own: no node knows how it is), unknown (a node does not say). What waits is told with what it waits for. Of a process of type TYPE,
TYPE.told tells it events, and TYPE.sent sends its commands; timers has what reads which are set, and sends what they were set for. A
schedule is running, stopped (a node without it was to run it; one that has it begins it again within a minute), beginning, nowhere or
unknown. A node alone, whose config has no redis, is reached by no command: of it there is the table alone.

Exit code: 0 all is well, 1 one is halted, runs nowhere, is unknown or has waited for a minute, or a node does not answer, 2 usage.`,
  options: OPTIONS,
  async run(values, terminal, signal) {
    const { config } = await findCluster(values['config'], process.env)
    const isJson = values['json'] === true
    const hanging = hangingOf(config)
    const say = (said: Said | undefined): void => {
      const { shown, inboxes, timers, schedules } = said ?? {}
      const json = { events: hanging, ...(said && { reactors: shown, inboxes, timers, schedules }) }
      terminal.out(isJson ? JSON.stringify(json) : pictureOf(config.name, hanging, said))
    }
    // A node alone is reached by no command; its table is in its config.
    if (config.redis === undefined) {
      say(undefined)
      return Exit.ok
    }
    return await withProjections(values, signal, async (cluster) => {
      const { silent, ...said } = await askNodes(cluster, config)
      const { shown, inboxes, timers, schedules } = said
      say(said)
      const told = [
        ...problemsOf(shown),
        ...inboxProblems(inboxes),
        ...wheelProblems(timers),
        ...scheduleProblems(schedules),
        ...silent,
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

interface Said {
  readonly shown: readonly Shown[]
  readonly inboxes: readonly ShownInbox[]
  readonly timers: ShownWheels
  readonly schedules: readonly ShownSchedule[]
}

/** What all nodes say together; and the nodes that do not, with the reason. */
async function askNodes(
  cluster: ProjectionCluster,
  config: ClusterConfig,
): Promise<Said & { readonly silent: readonly string[] }> {
  const ask = (call: string): ReturnType<ProjectionCluster['callAll']> => cluster.callAll({ call, projection: '' })
  const calls = ['reactor.list', 'inbox.list', 'reactor.wheels', 'schedule.list']
  const [lists, inboxes, wheels, schedules] = await Promise.all(calls.map(ask))
  const statuses = lists!.answers.flatMap(({ value }) => value as readonly ConsumerStatus[])
  const told = inboxes!.answers.map(({ member, value }) => ({
    node: member.name,
    inboxes: value as readonly LocalInbox[],
  }))
  return {
    shown: shownOf(statuses, outboxesApart(config)),
    // One of an older version does not know the question.
    inboxes: shownInboxes(
      config.inboxes.map(({ name }) => name),
      { told, isWhole: inboxes!.silent.length === 0 },
    ),
    timers: shownWheels(wheels!.answers.map(({ value }) => value as ToldWheels)),
    schedules: shownSchedules(config.schedules, {
      told: schedules!.answers.map(({ value }) => value as readonly ToldSchedule[]),
      isWhole: schedules!.silent.length === 0,
    }),
    silent: lists!.silent.map(({ member, reason }) => `${member.name} does not say how its reactors are: ${reason}`),
  }
}

function pictureOf(cluster: string, hanging: readonly Hanging[], said: Said | undefined): string {
  const { shown = [], inboxes = [], timers, schedules = [] } = said ?? {}
  const notes = [...notesOf(shown), ...inboxNotes(inboxes), ...(timers === undefined ? [] : wheelNotes(timers))]
  const states = shown.map((each) => [each.name, each.kind, each.state, each.shards, each.halted, each.parkedStreams])
  const blocks = [
    ...(hanging.length === 0 ? [] : [hangingTable(hanging)]),
    ...(states.length === 0
      ? []
      : [table([['NAME', 'KIND', 'STATE', 'SHARDS', 'HALTED', 'PARKED STREAMS'], ...states])]),
    ...(inboxes.length === 0 ? [] : [inboxTable(inboxes)]),
    ...(schedules.length === 0 ? [] : [scheduleTable(schedules)]),
    ...(notes.length === 0 ? [] : [notes.join('\n')]),
  ]
  return blocks.length === 0 ? `'${cluster}' has nothing that takes events or messages` : blocks.join('\n\n')
}
