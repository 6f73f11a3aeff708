/** What the demo runs: `npm run demo`. A deployment edits this file; the main thread and every worker load it. */
import { Incident } from './examples/incidents/incident.ts'
import { OpenIncidents } from './examples/incidents/read-models/open-incidents.ts'
import { SlaVerdicts } from './examples/incidents/read-models/sla-verdicts.ts'
import { TimeToResolve } from './examples/incidents/read-models/time-to-resolve.ts'
import { defineCluster } from './src/index.ts'

export default defineCluster({
  // Names the cluster; a data directory belongs to the cluster that made it.
  name: 'incidents',
  // Everything that can be addressed with a ref.
  aggregates: [Incident],
  // Read models that are made of the events.
  projections: [OpenIncidents, TimeToResolve, SlaVerdicts],
  // Where the log is, relative to this file. The demo gives a directory of its own.
  dataDir: './data',
  // Worker threads, each with a journal of its own. Default: one less than the processors; 'inline' for none.
  //   workers: 4,
  // Slices that the aggregates are divided into: the most workers there can ever be. Fixed once there is data.
  //   shards: 64,
  // What a worker holds and takes on, and how long callers wait. Each has a default.
  //   limits: { mailboxMax: 1_000, activeActorsMax: 50_000 },
  //   timeouts: { askMs: 10_000, handlerMs: 5_000 },
})
