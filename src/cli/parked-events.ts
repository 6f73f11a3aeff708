/** What reactors, processes and outboxes have put aside: events, and with each its stream. */
import type { ToldParked, ToldWaiting } from '../node/consumer-operation.ts'
import { LISTED_MAX, type RetriedStream } from '../react/consumer-operations.ts'
import type { ParkedRows, Parking, Told, Which } from './parking.ts'
import type { ProjectionCluster } from './projection-cluster.ts'
import { counted, oneLine } from './report.ts'
import { table } from './table.ts'

export class ParkedEvents implements Parking {
  readonly by: object
  readonly #cluster: ProjectionCluster
  readonly #name: string

  constructor(cluster: ProjectionCluster, name: string) {
    this.#cluster = cluster
    this.#name = name
    this.by = { reactor: name }
  }

  async list(): Promise<Told> {
    const parked = await this.#parked()
    const isWhole = parked.length < LISTED_MAX
    const rest = isWhole ? [] : [`the oldest ${counted(LISTED_MAX, 'stream')}; there may be more`]
    return {
      json: { ...this.by, parked, isWhole },
      text: parked.length === 0 ? 'nothing is parked' : [tableOf(parked), ...rest].join('\n\n'),
    }
  }

  async show({ stream }: Which): Promise<Told> {
    const options = { stream, limit: LISTED_MAX }
    const events = (await this.#call('waiting', options)) as readonly ToldWaiting[]
    const isWhole = events.length < LISTED_MAX
    const reason = (await this.#parked()).find((parked) => parked.stream === stream)?.reason ?? ''
    const rows = events.map(({ version, type, time, id }) => [version, type, new Date(time).toISOString(), id])
    const blocks = [
      table([['VERSION', 'TYPE', 'TIME', 'EVENT'], ...rows]),
      ...(isWhole ? [] : [`the first ${counted(LISTED_MAX, 'event')}; there may be more`]),
      ...(reason === '' ? [] : [reason]),
    ]
    return { json: { ...this.by, stream, reason, events, isWhole }, text: blocks.join('\n\n') }
  }

  async rows({ stream }: Which): Promise<ParkedRows> {
    if (stream !== undefined) return { rows: [stream], isWhole: true }
    const rows = (await this.#parked()).map((parked) => parked.stream)
    return { rows, isWhole: rows.length < LISTED_MAX }
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
    return { json: { ...this.by, stream, version }, text: `version ${version} of ${stream} is skipped` }
  }

  async #parked(): Promise<readonly ToldParked[]> {
    return (await this.#call('parked', { limit: LISTED_MAX })) as readonly ToldParked[]
  }

  #call(call: string, options: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#cluster.callAny({ call: `reactor.${call}`, projection: this.#name, options })
  }
}

function tableOf(events: readonly ToldParked[]): string {
  const rows = events.map(({ stream, version, type, parkedAt, failures, reason }) => {
    const why = reason === '' ? '(waits behind one that was skipped)' : oneLine(reason)
    return [stream, version, type, new Date(parkedAt).toISOString(), failures, why]
  })
  return table([['STREAM', 'VERSION', 'TYPE', 'LAST PARKED', 'TIMES', 'REASON'], ...rows])
}
