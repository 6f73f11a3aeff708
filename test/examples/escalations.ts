import type { NodeStore } from '../../src/index.ts'

/** Each escalation in a log, sorted, as `number since`: the incident, and which of its reports began the wait. */
export async function escalationsIn(store: Pick<NodeStore, 'readAll'>): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { type, stream, data } of store.readAll({ categories: ['incident'] })) {
    if (type !== 'IncidentEscalated') continue
    found.push(`${stream.slice('incident/'.length)} ${(data as { readonly since: number }).since}`)
  }
  return found.toSorted()
}
