/** What reactors, processes and outboxes have put aside: events, and with each its stream. */
import type { ToldParked, ToldWaiting } from '../node/consumer-operation.ts'
import { LISTED_MAX, type RetriedStream } from '../react/consumer-operations.ts'
import type { ParkedRows, Parking, Told, Which } from './parking.ts'
import type { ProjectionCluster } from './projection-cluster.ts'
import { counted, oneLine } from './report.ts'
import { table } from './table.ts'

/** From so many on it is told how many there are of each reason; of so many reasons. */
const MANY = 20
const REASONS_MAX = 10

type Asked = Pick<ProjectionCluster, 'callAny'>

export class ParkedEvents implements Parking {
  readonly by: object
  readonly #cluster: Asked
  readonly #name: string

  constructor(cluster: Asked, name: string) {
    this.#cluster = cluster
    this.#name = name
    this.by = { reactor: name }
  }

  async list(): Promise<Told> {
    const parked = await this.#parked()
    const isWhole = parked.length < LISTED_MAX
    const rest = isWhole ? [] : [`the oldest ${counted(LISTED_MAX, 'stream')}; there may be more`]
    const blocks = [tableOf(parked), ...(parked.length < MANY ? [] : [reasonsOf(parked)]), ...rest]
    const text = parked.length === 0 ? 'nothing is parked' : blocks.join('\n\n')
    return { json: { ...this.by, parked, isWhole }, text }
  }

  async show({ stream }: Which): Promise<Told> {
    const options = { stream, limit: LISTED_MAX }
    const events = (await this.#call('waiting', options)) as readonly ToldWaiting[]
    const isWhole = events.length < LISTED_MAX
    // What has failed stands in the order where the first that waits does.
    const reason = (await this.#parked(events[0]?.position)).find((parked) => parked.stream === stream)?.reason ?? ''
    const rows = events.map(({ version, type, time, id }) => [version, type, new Date(time).toISOString(), id])
    const blocks = [
      table([['VERSION', 'TYPE', 'TIME', 'EVENT'], ...rows]),
      ...(isWhole ? [] : [`the first ${counted(LISTED_MAX, 'event')}; there may be more`]),
      ...(reason === '' ? [] : [reason]),
    ]
    return { json: { ...this.by, stream, reason, events, isWhole }, text: blocks.join('\n\n') }
  }

  async rows({ stream }: Which, from: number): Promise<ParkedRows> {
    if (stream !== undefined) return { rows: [stream], next: undefined }
    const parked = await this.#parked(from)
    // One that waits behind what was skipped stands in the order where that stood, which nobody tells.
    const last = parked.findLast(({ reason }) => reason !== '')
    const next = parked.length < LISTED_MAX ? undefined : (last?.position ?? from)
    return { rows: parked.map((event) => event.stream), next }
  }

  async retry(stream: string): Promise<Told | undefined> {
    const { failed } = (await this.#call('retry', { stream })) as RetriedStream
    if (failed === undefined) return undefined
    const { version, type, reason } = failed
    const what = `'${type}', version ${version} of ${stream}, failed again: ${oneLine(reason)}`
    return { json: { stream, ...failed }, text: `${what}; mend its handler and retry, or skip it` }
  }

  async skip({ stream }: Which, version: number, reason: string): Promise<Told> {
    await this.#call('skip', { stream, version, reason })
    const next = `penhold parked retry ${this.#name} --stream ${stream}`
    const text = `version ${version} of ${stream} is skipped; what waits behind it goes on with: ${next}`
    return { json: { ...this.by, stream, version }, text }
  }

  async #parked(from = 0): Promise<readonly ToldParked[]> {
    return (await this.#call('parked', { limit: LISTED_MAX, from })) as readonly ToldParked[]
  }

  #call(call: string, options: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#cluster.callAny({ call: `reactor.${call}`, projection: this.#name, options })
  }
}

/** How many have failed for which reason, the most first. */
function reasonsOf(events: readonly ToldParked[]): string {
  const counts = Map.groupBy(events, whyOf)
  const rows = [...counts].map(([reason, { length }]) => [length, reason] as const).toSorted(([a], [b]) => b - a)
  const more = rows.length - REASONS_MAX
  return [
    table([['STREAMS', 'REASON'], ...rows.slice(0, REASONS_MAX)]),
    ...(more > 0 ? [`and ${counted(more, 'more reason')}`] : []),
  ].join('\n')
}

function whyOf({ reason }: ToldParked): string {
  return reason === '' ? '(waits behind one that was skipped)' : oneLine(reason)
}

function tableOf(events: readonly ToldParked[]): string {
  const rows = events.map((event) => {
    const { stream, version, type, parkedAt, failures } = event
    return [stream, version, type, new Date(parkedAt).toISOString(), failures, whyOf(event)]
  })
  return table([['STREAM', 'VERSION', 'TYPE', 'LAST PARKED', 'TIMES', 'REASON'], ...rows])
}
