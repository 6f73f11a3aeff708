/** A data directory that real logs wrote: two lives of one owner of two shards, with snapshots and several segments. */
import { Log } from '../../src/log/log.ts'
import { NOWHERE, RecordKind, type Address } from '../../src/log/record.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { encode } from '../../src/log/codec.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk, SimulatedFile } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'

export const CLUSTER = 'fuzz'
export const STREAMS: readonly string[] = ['a/1', 'a/2', 'b/ü', 'b/3']
const SHARDS = 2

/** Everything that is in the directory, by path. */
export type Image = ReadonlyMap<string, Uint8Array>

export function openLog(storage: SimulatedStorage): Promise<Log> {
  const own = Array.from({ length: SHARDS }, (_, shard) => shard)
  const options = { storage, clock: new SimulatedClock(), clusterId: CLUSTER, shards: SHARDS, own, node: 'fuzz' }
  return Log.open({ ...options, segmentBytes: 1024 })
}

let image: Promise<Image> | undefined

export function logImage(): Promise<Image> {
  image ??= writeImage()
  return image
}

export function diskOf(files: Image): SimulatedDisk {
  const disk = new SimulatedDisk()
  for (const [path, content] of files) {
    const file = new SimulatedFile(true)
    file.write(0, content)
    file.sync()
    disk.files.set(path, file)
    const folders = path.split('/').slice(0, -1)
    for (const [i] of folders.entries()) disk.makeFolder(folders.slice(0, i + 1).join('/'))
  }
  return disk
}

async function writeImage(): Promise<Image> {
  const disk = new SimulatedDisk()
  const newest = new Map<string, { readonly address: Address; readonly version: number }>()
  for (let life = 0; life < 3; life += 1) {
    const log = await openLog(new SimulatedStorage(disk))
    for (let round = 0; round < 6; round += 1) {
      for (const stream of STREAMS) add(log, stream, newest, round % 3 === 2)
      await log.append(log.cut())
    }
    // The last life ends without the record that says so: its last batch is in doubt.
    if (life < 2) await log.close()
  }
  return new Map([...disk.files].map(([path, { live }]) => [path, live]))
}

function add(
  log: Log,
  name: string,
  newest: Map<string, { readonly address: Address; readonly version: number }>,
  isSnapshotted: boolean,
): void {
  const stream = log.placement.stream(name)
  const { address: previous, version } = newest.get(name) ?? { address: NOWHERE, version: 0 }
  const parts = {
    kind: RecordKind.event,
    epoch: 0,
    seq: 0,
    version: version + 1,
    payloadHash: version,
    position: log.positions.next(),
    previous,
    time: 1_795_000_000_000,
    eventId: new Uint8Array(16),
    commandId: sliceOf(new Uint8Array(16)),
    typeVersion: 1,
    type: Buffer.from('Noted'),
    data: sliceOf(encode({ note: version, list: ['x'] })),
    metadata: encode({ user: 'u' }),
  }
  let address = log.add(stream, parts)
  if (isSnapshotted) {
    const snapshot = { ...parts, kind: RecordKind.snapshot, previous: address, data: sliceOf(encode({ version })) }
    address = log.add(stream, snapshot)
  }
  newest.set(name, { address, version: version + 1 })
}
