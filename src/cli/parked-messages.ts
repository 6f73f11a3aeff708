/** What inboxes have put aside: messages, and with each all later ones to its aggregate. */
import type { ToldMessage, ToldOutline } from '../node/inbox-operation.ts'
import type { RetriedMessages } from '../react/inbox-operations.ts'
import { Failure } from './command.ts'
import type { ParkedRows, Parking, Told, Which } from './parking.ts'
import type { ProjectionCluster } from './projection-cluster.ts'
import { oneLine } from './report.ts'
import { table } from './table.ts'

export class ParkedMessages implements Parking {
  readonly by: object
  readonly #cluster: ProjectionCluster
  readonly #inbox: string

  constructor(cluster: ProjectionCluster, inbox: string) {
    this.#cluster = cluster
    this.#inbox = inbox
    this.by = { inbox }
  }

  async list(): Promise<Told> {
    const parked = await this.#parked()
    const text = parked.length === 0 ? 'nothing is parked' : tableOf(parked)
    return { json: { ...this.by, parked, isWhole: true }, text }
  }

  async show({ stream, message }: Which): Promise<Told> {
    if (message === undefined) {
      const messages = await this.#ofStream(stream!)
      return { json: { ...this.by, stream, messages }, text: tableOf(messages) }
    }
    const { fields, ...outline } = (await this.#call('message', { id: message })) as ToldMessage
    const shown = fields.map(([name, value]) => [oneLine(name), oneLine(value)])
    const text = [...(shown.length === 0 ? [] : [table(shown)]), whyOf(outline)].join('\n\n')
    return { json: { ...this.by, ...outline, fields: Object.fromEntries(fields) }, text }
  }

  async rows({ stream, message }: Which): Promise<ParkedRows> {
    if (message !== undefined) return { rows: [message], next: undefined }
    const parked = stream === undefined ? await this.#parked() : await this.#ofStream(stream)
    const rows = [...Map.groupBy(parked, (each) => each.stream || each.id).values()]
    return { rows: rows.map(([first]) => first!.id), next: undefined }
  }

  async retry(id: string): Promise<Told | undefined> {
    const { failed } = (await this.#call('retry', { id })) as RetriedMessages
    if (failed === undefined) return undefined
    const remedy = 'mend its mapper or its aggregate and retry, or skip it'
    return { json: failed, text: `message ${failed.id} failed again: ${oneLine(failed.reason)}; ${remedy}` }
  }

  async skip({ message }: Which, _version: number, reason: string): Promise<Told> {
    await this.#call('skip', { id: message, reason })
    return { json: { ...this.by, message }, text: `message ${message} is skipped` }
  }

  async #parked(): Promise<readonly ToldOutline[]> {
    return (await this.#call('parked', {})) as readonly ToldOutline[]
  }

  async #ofStream(stream: string): Promise<readonly ToldOutline[]> {
    const messages = (await this.#parked()).filter((message) => message.stream === stream)
    if (messages.length > 0) return messages
    throw new Failure(
      `nothing for ${stream} is parked by inbox ${this.#inbox}; see penhold parked list inbox:${this.#inbox}`,
    )
  }

  #call(call: string, options: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#cluster.callAny({ call: `inbox.${call}`, projection: this.#inbox, options })
  }
}

function tableOf(messages: readonly ToldOutline[]): string {
  const rows = messages.map((message) => {
    const { id, stream, at } = message
    return [id, stream || '?', new Date(at).toISOString(), whyOf(message)]
  })
  return table([['MESSAGE', 'FOR', 'LAST PARKED', 'REASON'], ...rows])
}

function whyOf({ reason }: ToldOutline): string {
  return reason === '' ? '(waits behind another one of its aggregate)' : oneLine(reason)
}
