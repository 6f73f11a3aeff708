/** `penhold projection parked`: what a projection has put aside, and what is done with it by hand. */
import type { Retried } from '../read/parking.ts'
import type { ParkedEvent } from '../read/read-model.ts'
import { complain } from './complaint.ts'
import { Exit, UsageError, type Command, type CommandGroup, type Values } from './command.ts'
import { CONFIG_HELP } from './config-file.ts'
import { withProjections, type ProjectionCluster } from './projection-cluster.ts'
import { runs, type Sighting } from './projection-sightings.ts'
import { counted } from './report.ts'
import { table } from './table.ts'

/** So many a node tells at once. */
const LISTED_MAX = 1_000
const LISTED = 100

const OPTIONS_HELP = `  --rebuild         of the generation that is being rebuilt, and not of the live one
  --config FILE     the cluster ${CONFIG_HELP}
  --json            print one JSON object and nothing else
  --help            print this`

const OPTIONS = { config: { type: 'string' }, rebuild: { type: 'boolean' }, stream: { type: 'string' } } as const

interface Asked {
  readonly cluster: ProjectionCluster
  readonly runner: Sighting
  readonly name: string
  readonly generation: 'live' | 'rebuild'
}

async function withRunner(values: Values, signal: AbortSignal, use: (asked: Asked) => Promise<Exit>): Promise<Exit> {
  const name = String(values['name'])
  return await withProjections(values, signal, async (cluster) => {
    const generation = values['rebuild'] === true ? 'rebuild' : 'live'
    const running = (await cluster.running(name)).filter((sighting) => runs(sighting))
    // Others hear of a rebuild a second later than who has begun it.
    const rebuilding = generation === 'rebuild' ? running.find(({ status }) => status.rebuild !== undefined) : undefined
    return await use({ cluster, runner: rebuilding ?? running[0]!, name, generation })
  })
}

async function listParked(
  { cluster, runner, name, generation }: Asked,
  options: { readonly stream?: string; readonly limit: number },
): Promise<readonly ParkedEvent[]> {
  const call = { call: 'parked', projection: name, options: { ...options, generation } }
  return (await cluster.call(runner.member, call)) as readonly ParkedEvent[]
}

const list: Command = {
  summary: 'says which events are parked, and why',
  help: `Lists parked events by stream and version: those that could not be handled, with the reason, and those that wait behind
one of the same stream.

  penhold projection parked list NAME [--stream STREAM] [--limit N] [--rebuild] [--config FILE] [--json]

  --stream STREAM   of this stream only
  --limit N         so many at most, up to ${LISTED_MAX} (default: ${LISTED})
${OPTIONS_HELP}

Exit code: 0 they are listed, 1 that could not be done, 2 usage.`,
  options: { ...OPTIONS, limit: { type: 'string' } },
  operands: ['name'],
  async run(values, terminal, signal) {
    const limit = numberOf(values['limit'] ?? String(LISTED), '--limit', LISTED_MAX)
    const stream = values['stream']
    return await withRunner(values, signal, async (asked) => {
      const parked = await listParked(asked, { limit, ...(stream !== undefined && { stream: String(stream) }) })
      if (values['json'] === true) terminal.out(JSON.stringify({ projection: asked.name, parked }))
      else terminal.out(parked.length === 0 ? 'nothing is parked' : parkedTable(parked))
      return Exit.ok
    })
  },
}

const retry: Command = {
  summary: 'tries parked events again, in order',
  help: `Tries the parked events of a stream again, in order, until none is left or one fails again; of all streams, one after
the other, where none is named. What has taken effect is parked no more.

  penhold projection parked retry NAME [--stream STREAM] [--rebuild] [--config FILE] [--json]

  --stream STREAM   of this stream only
${OPTIONS_HELP}

Exit code: 0 none is left, 1 some have failed again or that could not be done, 2 usage.`,
  options: OPTIONS,
  operands: ['name'],
  async run(values, terminal, signal) {
    const isJson = values['json'] === true
    return await withRunner(values, signal, async (asked) => {
      const { done, failed } = await retryAll(asked, values['stream'])
      if (isJson) terminal.out(JSON.stringify({ projection: asked.name, done, failed }))
      else terminal.out(`${counted(done, 'event')} took effect`)
      for (const { stream, version, type, reason } of isJson ? [] : failed) {
        const remedy = 'mend its handler and retry, or skip it'
        complain(
          terminal,
          { message: `'${type}', version ${version} of ${stream}, failed again: ${reason}; ${remedy}` },
          isJson,
        )
      }
      return failed.length === 0 ? Exit.ok : Exit.failed
    })
  },
}

interface RetriedAll {
  readonly done: number
  readonly failed: readonly (NonNullable<Retried['failed']> & { readonly stream: string })[]
}

async function retryAll(asked: Asked, only: Values[string]): Promise<RetriedAll> {
  const { cluster, name, generation } = asked
  const failed: RetriedAll['failed'][number][] = []
  const tried = new Set<string>()
  let done = 0
  for (;;) {
    const parked = await listParked(asked, { limit: LISTED_MAX, ...(only !== undefined && { stream: String(only) }) })
    const places = new Map(parked.map(({ stream, place }) => [stream, place]))
    const untried = [...places].filter(([stream]) => !tried.has(stream))
    // Those that fail may be all that is listed: then the rest waits until they are mended.
    if (untried.length === 0) return { done, failed }
    for (const [stream, place] of untried) {
      tried.add(stream)
      const call = { call: 'retryParked', projection: name, options: { stream, generation } }
      const { member } = await cluster.runner(name, place)
      const retried = (await cluster.call(member, call)) as Retried
      done += retried.done
      if (retried.failed !== undefined) failed.push({ stream, ...retried.failed })
    }
  }
}

const skip: Command = {
  summary: "gives up one parked event's effect, for good",
  help: `Takes one event off the list of those that are parked, without its effect, which the read model will never have; the node
logs that with the reason. Those behind it stay parked until they are retried.

  penhold projection parked skip NAME --stream STREAM --version N --reason TEXT [--rebuild] [--config FILE] [--json]

  --stream STREAM   the event's stream
  --version N       its version there
  --reason TEXT     why
${OPTIONS_HELP}

Exit code: 0 it is skipped, 1 that could not be done, 2 usage.`,
  options: { ...OPTIONS, version: { type: 'string' }, reason: { type: 'string' } },
  operands: ['name'],
  async run(values, terminal, signal) {
    const [stream, reason] = [given(values, 'stream'), given(values, 'reason')]
    const version = numberOf(given(values, 'version'), '--version', Number.MAX_SAFE_INTEGER)
    return await withRunner(values, signal, async (asked) => {
      const { cluster, name, generation } = asked
      const options = { stream, version, reason, generation }
      const [first] = await listParked(asked, { stream, limit: 1 })
      const { member } = await cluster.runner(name, first?.place)
      await cluster.call(member, { call: 'skipParked', projection: name, options })
      const next = `penhold projection parked retry ${name} --stream ${stream}${values['rebuild'] === true ? ' --rebuild' : ''}`
      const text = `version ${version} of ${stream} is skipped; what waits behind it goes on with: ${next}`
      terminal.out(values['json'] === true ? JSON.stringify({ projection: name, stream, version }) : text)
      return Exit.ok
    })
  },
}

export const parked: CommandGroup = {
  summary: 'lists, retries and skips events that were put aside',
  help: `Usage: penhold projection parked COMMAND NAME [OPTIONS]

  list    ${list.summary}
  retry   ${retry.summary}
  skip    ${skip.summary}

penhold projection parked COMMAND --help says more.`,
  commands: { list, retry, skip },
}

function parkedTable(events: readonly ParkedEvent[]): string {
  const rows = events.map(({ stream, version, type, parkedAt, reason }) => {
    return [stream, version, type, new Date(parkedAt).toISOString(), oneLine(reason)]
  })
  return table([['STREAM', 'VERSION', 'TYPE', 'PARKED', 'REASON'], ...rows])
}

function oneLine(reason: string): string {
  return reason === '' ? '(waits behind another)' : reason.replaceAll(/\s+/g, ' ')
}

function given(values: Values, option: string): string {
  const value = values[option]
  if (typeof value === 'string' && value.trim() !== '') return value
  throw new UsageError(`projection parked skip: --${option} is missing`)
}

function numberOf(value: Values[string], option: string, max: number): number {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : 0
  if (number >= 1 && number <= max) return number
  throw new UsageError(
    `${option} is '${String(value)}'`,
    `give a whole number from 1${max < Number.MAX_SAFE_INTEGER ? ` to ${max}` : ' on'}`,
  )
}
