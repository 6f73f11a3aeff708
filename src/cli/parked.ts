/** `penhold parked`: what reactors and their like, and inboxes, have put aside, and what is done with it by hand. */
import type { ClusterConfig } from '../node/config.ts'
import { complain } from './complaint.ts'
import { Exit, UsageError, type Command, type CommandGroup, type Terminal, type Values } from './command.ts'
import { CONFIG_HELP, findCluster } from './config-file.ts'
import { ParkedEvents } from './parked-events.ts'
import { ParkedMessages } from './parked-messages.ts'
import { retryAll } from './parked-retry.ts'
import type { Parking, Told, Which } from './parking.ts'
import { createProgress } from './progress.ts'
import { withProjections } from './projection-cluster.ts'
import { counted } from './report.ts'

const OPTIONS_HELP = `  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object and nothing else
  --help            print this`

const WHICH = { config: { type: 'string' }, stream: { type: 'string' }, message: { type: 'string' } } as const
/** So many failures are told one by one; programs are told more. */
const TOLD_MAX = 20

const list: Command = {
  summary: 'says what waits, and why',
  help: `Lists the streams of which something is parked, the oldest first: the event that waits first, when it was parked last and
how many times, and why it failed. What stands behind it in its stream waits as well; penhold parked show has all of it. Of an inbox
it lists the messages, in the order in which they came, and whom each is for.

  penhold parked list NAME [--config FILE] [--json]

  NAME              of a reactor, an outbox or an inbox; what tells a process TYPE events is TYPE.told, and what sends its
                    commands TYPE.sent. Where two are called the same: reactor:NAME, outbox:NAME, process:NAME, inbox:NAME
${OPTIONS_HELP}

Exit code: 0 they are listed, 1 that could not be done, 2 usage.`,
  options: { config: { type: 'string' } },
  operands: ['name'],
  run: (values, terminal, signal) =>
    withParking(values, signal, { command: 'list' }, async (parking) => tell(await parking.list(), values, terminal)),
}

const show: Command = {
  summary: 'shows all that waits of one stream, or what a message says',
  help: `Shows the events of a stream that wait, in order; of an inbox what a message says, or which messages wait for a stream.

  penhold parked show NAME --stream STREAM [--config FILE] [--json]
  penhold parked show NAME --message ID [--config FILE] [--json]

  --stream STREAM   the stream
  --message ID      the message of an inbox
${OPTIONS_HELP}

Exit code: 0 they are shown, 1 nothing of it is parked, or that could not be done, 2 usage.`,
  options: WHICH,
  operands: ['name'],
  run: (values, terminal, signal) =>
    withParking(values, signal, { command: 'show', needs: ['stream', 'message'] }, async (parking) =>
      tell(await parking.show(whichOf(values)), values, terminal),
    ),
}

const retry: Command = {
  summary: 'tries again what is parked, in order',
  help: `Tries the parked events of a stream again, in order, until none is left or one fails again; of an inbox the messages for a
stream in the same way. Of all streams, several beside each other, where none is named. What has taken effect is parked no more.

  penhold parked retry NAME [--stream STREAM] [--message ID] [--config FILE] [--json]

  --stream STREAM   of this stream only
  --message ID      of an inbox: what is for the same stream as this message
${OPTIONS_HELP}

Exit code: 0 none is left, 1 some have failed again or that could not be done, 2 usage, 130 interrupted.`,
  options: WHICH,
  operands: ['name'],
  run: (values, terminal, signal) =>
    withParking(values, signal, { command: 'retry' }, (parking) => retryThem(parking, values, { terminal, signal })),
}

const skip: Command = {
  summary: 'gives up what one event or message would have set in motion, for good',
  help: `Takes the first of a stream's parked events off the list; what it would have set in motion never happens. The log keeps the
reason. Those behind it stay parked until they are retried. Of an inbox it takes any message off the list, and what waits behind it
is tried.

  penhold parked skip NAME --stream STREAM --version N --reason TEXT [--config FILE] [--json]
  penhold parked skip NAME --message ID --reason TEXT [--config FILE] [--json]

  --stream STREAM   the event's stream
  --version N       its version there: the first that waits
  --message ID      the message of an inbox
  --reason TEXT     why
${OPTIONS_HELP}

Exit code: 0 it is skipped, 1 that could not be done, 2 usage.`,
  options: { ...WHICH, version: { type: 'string' }, reason: { type: 'string' } },
  operands: ['name'],
  async run(values, terminal, signal) {
    const reason = given(values, 'skip', 'reason')
    const version = values['message'] === undefined ? versionOf(given(values, 'skip', 'version')) : 0
    const needs = [version === 0 ? 'message' : 'stream'] as const
    return await withParking(values, signal, { command: 'skip', needs }, async (parking) =>
      tell(await parking.skip(whichOf(values), version, reason), values, terminal),
    )
  },
}

const commands: CommandGroup['commands'] = { list, show, retry, skip }

export const parked: CommandGroup = {
  summary: 'lists, shows, retries and skips what was put aside',
  help: `Usage: penhold parked COMMAND NAME [OPTIONS]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}`)
  .join('\n')}

penhold parked COMMAND --help says more. What has parked something: penhold reactors. What projections have put aside: penhold
projection parked. The commands ask the cluster's running nodes, and so need Redis and the secret (PENHOLD_REDIS and
PENHOLD_SECRETS count instead of the config's). A node alone, whose config has no redis, they cannot reach: there, call
node.reactor(R), node.outbox(O) or node.inbox(I) in its program.`,
  commands,
}

interface Asked {
  readonly command: string
  /** One of these has to be said. */
  readonly needs?: readonly ('stream' | 'message')[]
}

/** @throws UsageError; what `withProjections` throws */
async function withParking(
  values: Values,
  signal: AbortSignal,
  { command, needs = [] }: Asked,
  use: (parking: Parking) => Promise<Exit>,
): Promise<Exit> {
  const name = String(values['name'])
  const [first] = needs
  const which = whichOf(values)
  if (first !== undefined && needs.every((option) => which[option] === undefined)) given(values, command, first)
  const { config } = await findCluster(values['config'], process.env)
  const inbox = inboxOf(config, name)
  if (inbox === undefined && which.message !== undefined) {
    throw new UsageError(`parked ${command}: --message is for inboxes, and ${name} is none`, 'name a stream')
  }
  if (inbox !== undefined && which.message === undefined && needs.length > 0 && !needs.includes('message')) {
    throw new UsageError(`parked ${command}: ${name} is an inbox`, 'name a message, with --message')
  }
  return await withProjections(values, signal, (cluster) =>
    use(inbox === undefined ? new ParkedEvents(cluster, name) : new ParkedMessages(cluster, inbox)),
  )
}

/** The name of the inbox that is meant; undefined where none is. @throws UsageError where something else has it too */
function inboxOf({ inboxes, reactors, outboxes }: ClusterConfig, name: string): string | undefined {
  if (name.startsWith(INBOX)) return name.slice(INBOX.length)
  const isOf = (all: readonly { readonly name: string }[]): boolean => all.some((each) => each.name === name)
  if (!isOf(inboxes)) return undefined
  const others = [...(isOf(reactors) ? [`reactor:${name}`] : []), ...(isOf(outboxes) ? [`outbox:${name}`] : [])]
  if (others.length === 0) return name
  throw new UsageError(`several are called ${name}`, `give ${[`${INBOX}${name}`, ...others].join(' or ')}`)
}

const INBOX = 'inbox:'

async function retryThem(
  parking: Parking,
  values: Values,
  { terminal, signal }: { readonly terminal: Terminal; readonly signal: AbortSignal },
): Promise<Exit> {
  const isJson = values['json'] === true
  const { show: onTried, end } = createProgress(terminal, 'retrying', (known) => ` of ${counted(known, 'stream')}`)
  const { done, failed, failures, error } = await retryAll(parking, whichOf(values), { signal, onTried })
  end()
  if (done + failures === 0 && error !== undefined && error !== signal.reason) throw error
  const json = { ...parking.by, streams: done, failures, failed: failed.map((each) => each.json) }
  terminal.out(isJson ? JSON.stringify(json) : `${counted(done, 'stream')} flow${done === 1 ? 's' : ''} again`)
  const left = [
    ...failed.slice(0, TOLD_MAX).map(({ text }) => text),
    ...(failures > TOLD_MAX
      ? [`${counted(failures - TOLD_MAX, 'more stream')} failed again; see penhold parked list`]
      : []),
  ]
  for (const message of isJson ? [] : left) complain(terminal, { message }, isJson)
  if (error !== undefined && error !== signal.reason) throw error
  if (error !== undefined) complain(terminal, { message: 'interrupted: what was not tried stays parked' }, isJson)
  return error !== undefined ? Exit.interrupted : failures === 0 ? Exit.ok : Exit.failed
}

function tell({ json, text }: Told, values: Values, terminal: Terminal): Exit {
  terminal.out(values['json'] === true ? JSON.stringify(json) : text)
  return Exit.ok
}

function whichOf({ stream, message }: Values): Which {
  const textOf = (value: Values[string]): string | undefined => (typeof value === 'string' ? value : undefined)
  return { stream: textOf(stream), message: textOf(message) }
}

function given(values: Values, command: string, option: string): string {
  const value = values[option]
  if (typeof value === 'string' && value.trim() !== '') return value
  throw new UsageError(`parked ${command}: --${option} is missing`)
}

function versionOf(value: string): number {
  if (/^[1-9]\d*$/.test(value) && Number.isSafeInteger(Number(value))) return Number(value)
  throw new UsageError(`--version is '${value}'`, 'give a whole number from 1 on')
}
