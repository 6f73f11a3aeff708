/** `penhold import`: makes a data directory of lines of JSON. */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { resolve } from 'node:path'
import { FORMAT_VERSION } from '../log/batch.ts'
import { isId } from '../log/identity.ts'
import { loadConfig } from '../node/config.ts'
import { systemClock } from '../platform/system.ts'
import { linesOf } from '../platform/text-files.ts'
import { importLines } from '../read/import.ts'
import { UsageError, type Command, type Values } from './command.ts'
import { CONFIG_HELP, findConfig } from './config-file.ts'
import { counted } from './report.ts'
import { describe, fill } from './restore.ts'

export const importEvents: Command = {
  summary: 'makes a data directory of lines of JSON',
  help: `Makes a data directory of events as lines of JSON (NDJSON), as penhold export writes them, with the ids, versions,
positions and times that they have. All lines are checked before the first is written.

  penhold import FILE [--config FILE] [--data DIR] [--cluster-id ID] [--json]

  --config FILE     the cluster that the data is for: its name, its number of shards and its data directory,
                    which is empty or not there ${CONFIG_HELP}
  --data DIR        another directory
  --cluster-id ID   the id of the cluster that was exported, as penhold verify --json tells it; by default a new one.
                    With the same number of shards each event falls into the shard that it was in
  --json            print one JSON object and nothing else
  --help            print this

With another id, or another number of shards, events of several workers that have the same position may fall into one
shard, where positions are all different: then the import is refused.

Exit code: 0 all is imported, 1 a line is wrong or the directory cannot be written, 2 usage, 130 interrupted.`,
  options: { config: { type: 'string' }, data: { type: 'string' }, 'cluster-id': { type: 'string' } },
  operands: ['file'],
  async run(values, terminal, signal) {
    const file = resolve(String(values['file']))
    if (!fs.existsSync(file)) throw new UsageError(`there is no file ${file}`)
    const config = await loadConfig(findConfig(values['config'], 'give --config FILE'), {})
    const { name, shards, segmentBytes } = config
    const dataDir = typeof values['data'] === 'string' ? resolve(values['data']) : config.dataDir
    const identity = { format: FORMAT_VERSION, clusterId: clusterIdOf(values), name, shards }
    const isJson = values['json'] === true
    return fill(dataDir, { terminal, signal, isJson, what: 'importing' }, async (to) => {
      const task = { lines: () => linesOf(file), name: file, to, clock: systemClock, identity, segmentBytes }
      const imported = await importLines({ ...task, id: randomUUID(), signal })
      if (isJson) terminal.out(JSON.stringify({ dataDir, ...imported }))
      else {
        const { events, streams, position } = imported
        const counts = `${counted(events, 'event')} in ${counted(streams, 'stream')}`
        terminal.out(`${dataDir}: ${counts}, up to ${describe(position)}`)
      }
    })
  },
}

function clusterIdOf({ 'cluster-id': given }: Values): string {
  if (typeof given !== 'string') return randomUUID()
  if (!isId(given))
    throw new UsageError(`'${given}' is no cluster id`, 'give the UUID that penhold verify --json tells')
  return given
}
