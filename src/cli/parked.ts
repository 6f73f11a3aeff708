/** `penhold parked`: what reactors and their like have put aside, and what is done with it by hand. */
import type { ToldParked, ToldWaiting } from '../node/consumer-operation.ts'
import { LISTED_MAX, type RetriedStream } from '../react/consumer-operations.ts'
import { complain } from './complaint.ts'
import { Exit, UsageError, type Command, type CommandGroup, type Values } from './command.ts'
import { CONFIG_HELP } from './config-file.ts'
import { withProjections, type ProjectionCluster } from './projection-cluster.ts'
import { counted } from './report.ts'
import { table } from './table.ts'

const OPTIONS_HELP = `  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object and nothing else
  --help            print this`

const OPTIONS = { config: { type: 'string' }, stream: { type: 'string' } } as const

const list: Command = {
  summary: 'says which streams wait behind an event that could not be handled, and why',
  help: `Lists the streams of which something is parked, the oldest first: the event that waits first, and why it failed. What stands
behind it in its stream waits as well; penhold parked show has all of it.

  penhold parked list NAME [--config FILE] [--json]

  NAME              of a reactor or an outbox; what tells a process TYPE events is TYPE.told, and what sends its commands
                    TYPE.sent. Where two are called the same: reactor:NAME, outbox:NAME, process:NAME
${OPTIONS_HELP}

Exit code: 0 they are listed, 1 that could not be done, 2 usage.`,
  options: { config: { type: 'string' } },
  operands: ['name'],
  async run(values, terminal, signal) {
    const name = String(values['name'])
    return await withProjections(values, signal, async (cluster) => {
      const parked = await listParked(cluster, name)
      if (values['json'] === true) terminal.out(JSON.stringify({ reactor: name, parked }))
      else terminal.out(parked.length === 0 ? 'nothing is parked' : parkedTable(parked))
      return Exit.ok
    })
  },
}

const show: Command = {
  summary: 'shows all that waits of one stream',
  help: `Shows the events of a stream that wait, in order.

  penhold parked show NAME --stream STREAM [--config FILE] [--json]

  --stream STREAM   the stream
${OPTIONS_HELP}

Exit code: 0 they are shown, 1 nothing of it is parked, or that could not be done, 2 usage.`,
  options: OPTIONS,
  operands: ['name'],
  async run(values, terminal, signal) {
    const [name, stream] = [String(values['name']), given(values, 'show', 'stream')]
    return await withProjections(values, signal, async (cluster) => {
      const options = { stream, limit: LISTED_MAX }
      const call = { call: 'reactor.waiting', projection: name, options }
      const events = (await cluster.callAny(call)) as readonly ToldWaiting[]
      const [first] = (await listParked(cluster, name)).filter((parked) => parked.stream === stream)
      if (values['json'] === true) {
        terminal.out(JSON.stringify({ reactor: name, stream, reason: first?.reason ?? '', events }))
        return Exit.ok
      }
      const rows = events.map(({ version, type, time, id }) => [version, type, new Date(time).toISOString(), id])
      terminal.out(table([['VERSION', 'TYPE', 'TIME', 'EVENT'], ...rows]))
      if (first !== undefined) terminal.out(`\n${first.reason}`)
      return Exit.ok
    })
  },
}

const retry: Command = {
  summary: 'tries parked events again, in order',
  help: `Tries the parked events of a stream again, in order, until none is left or one fails again; of all streams, one after
the other, where none is named. What has taken effect is parked no more.

  penhold parked retry NAME [--stream STREAM] [--config FILE] [--json]

  --stream STREAM   of this stream only
${OPTIONS_HELP}

Exit code: 0 none is left, 1 some have failed again or that could not be done, 2 usage.`,
  options: OPTIONS,
  operands: ['name'],
  async run(values, terminal, signal) {
    const [name, only, isJson] = [String(values['name']), values['stream'], values['json'] === true]
    return await withProjections(values, signal, async (cluster) => {
      const streams =
        only === undefined ? (await listParked(cluster, name)).map(({ stream }) => stream) : [String(only)]
      const failed: (NonNullable<RetriedStream['failed']> & { readonly stream: string })[] = []
      for (const stream of streams) {
        const call = { call: 'reactor.retry', projection: name, options: { stream } }
        const retried = (await cluster.callAny(call)) as RetriedStream
        if (retried.failed !== undefined) failed.push({ stream, ...retried.failed })
      }
      const done = streams.length - failed.length
      if (isJson) terminal.out(JSON.stringify({ reactor: name, streams: done, failed }))
      else terminal.out(`${counted(done, 'stream')} flow${done === 1 ? 's' : ''} again`)
      for (const { stream, version, type, reason } of isJson ? [] : failed) {
        const remedy = 'mend its handler and retry, or skip it'
        const message = `'${type}', version ${version} of ${stream}, failed again: ${reason}; ${remedy}`
        complain(terminal, { message }, isJson)
      }
      return failed.length === 0 ? Exit.ok : Exit.failed
    })
  },
}

const skip: Command = {
  summary: 'gives up what one parked event would have set in motion, for good',
  help: `Takes the first of a stream's parked events off the list; what it would have set in motion never happens. The log keeps the
reason. Those behind it stay parked until they are retried.

  penhold parked skip NAME --stream STREAM --version N --reason TEXT [--config FILE] [--json]

  --stream STREAM   the event's stream
  --version N       its version there: the first that waits
  --reason TEXT     why
${OPTIONS_HELP}

Exit code: 0 it is skipped, 1 that could not be done, 2 usage.`,
  options: { ...OPTIONS, version: { type: 'string' }, reason: { type: 'string' } },
  operands: ['name'],
  async run(values, terminal, signal) {
    const name = String(values['name'])
    const [stream, reason] = [given(values, 'skip', 'stream'), given(values, 'skip', 'reason')]
    const version = versionOf(given(values, 'skip', 'version'))
    return await withProjections(values, signal, async (cluster) => {
      await cluster.callAny({ call: 'reactor.skip', projection: name, options: { stream, version, reason } })
      const isJson = values['json'] === true
      terminal.out(
        isJson ? JSON.stringify({ reactor: name, stream, version }) : `version ${version} of ${stream} is skipped`,
      )
      return Exit.ok
    })
  },
}

const commands: CommandGroup['commands'] = { list, show, retry, skip }

export const parked: CommandGroup = {
  summary: 'lists, shows, retries and skips what reactors have put aside',
  help: `Usage: penhold parked COMMAND NAME [OPTIONS]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}`)
  .join('\n')}

penhold parked COMMAND --help says more. What projections have put aside: penhold projection parked. What an inbox has: its
program knows (node.inbox(I)). The commands ask the cluster's running nodes, and so need Redis and the secret (PENHOLD_REDIS and
PENHOLD_SECRETS count instead of the config's). A node alone, whose config has no redis, they cannot reach: there, call
node.reactor(R) or node.outbox(O) in its program.`,
  commands,
}

async function listParked(cluster: ProjectionCluster, name: string): Promise<readonly ToldParked[]> {
  const call = { call: 'reactor.parked', projection: name, options: { limit: LISTED_MAX } }
  return (await cluster.callAny(call)) as readonly ToldParked[]
}

function parkedTable(events: readonly ToldParked[]): string {
  const rows = events.map(({ stream, version, type, parkedAt, failures, reason }) => {
    return [stream, version, type, new Date(parkedAt).toISOString(), failures, oneLine(reason)]
  })
  return table([['STREAM', 'VERSION', 'TYPE', 'PARKED', 'FAILURES', 'REASON'], ...rows])
}

function oneLine(reason: string): string {
  return reason === '' ? '(waits behind one that was skipped)' : reason.replaceAll(/\s+/g, ' ')
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
