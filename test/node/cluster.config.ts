import { defineAggregate, defineCluster } from '../../src/index.ts'
import { Account } from '../account.ts'

/** Keeps whatever it is told. */
export const Notebook = defineAggregate({
  type: 'notebook',
  initialState: (): { last: unknown } => ({ last: undefined }),
  events: { Noted: (_state, note: { what: unknown }) => ({ last: note.what }) },
  commands: { note: (_state, note: { what: unknown }, { emit }) => emit.Noted(note) },
  queries: { last: (state) => state.last },
})

/** What the nodes of this process have warned of. */
export const warnings: string[] = []

/** For tests of several nodes. Each gives a data directory and a Redis of its own. */
export default defineCluster({
  name: 'several',
  aggregates: [Account, Notebook],
  dataDir: '../../.tmp/several',
  shards: 8,
  workers: 2,
  timeouts: { askMs: 30_000 },
  onWarning: (message) => void warnings.push(message),
})
