/** What a node would show of a log if it was started now: everything, the events of one type, and each stream. */
import { PenholdError } from '../../../src/index.ts'
import type { StoredEvent } from '../../../src/node/stored-event.ts'
import type { SimulatedDisk } from '../../../src/testing/simulated-disk.ts'
import type { SimulatedNode } from '../../../src/testing/simulated-node.ts'
import { copyOfDisk } from '../../log/small-log.ts'
import type { House } from './house.ts'

/** How a reading has ended: at the end, with an error of such a code, or not at all in the time it had. */
export type End = 'ended' | 'waits' | { readonly code: string }

export interface Reading {
  /** By name, in the order of reading. */
  readonly events: readonly string[]
  readonly end: End
}

export interface Look {
  readonly all: Reading
  readonly ofType: Reading
  /** `A of shard S` for each event that whoever read all was told to be lost. */
  readonly losses: readonly string[]
  readonly streams: ReadonlyMap<string, Reading>
  readonly warnings: readonly string[]
}

/** Rare ones, of which there are segments without. */
export const TYPE = 'Withdrawn'

const READING_MS = 3_000
const LOSS = /events (\d+) to (\d+) of shard (\d+)/

/** An event by stream, version and the command that made it. */
export function nameOf({ stream, version, data }: Pick<StoredEvent, 'stream' | 'version' | 'data'>): string {
  return `${stream}@${version} by ${(data as { readonly by: number }).by}`
}

/** Resolves to why it does not start, where it does not. */
export async function look(
  house: House,
  disk: SimulatedDisk,
  streams: Iterable<string>,
): Promise<Look | { readonly reason: string }> {
  const warnings: string[] = []
  const node = await house.startBeside(copyOfDisk(disk), (message) => warnings.push(message))
  if (typeof node === 'string') return { reason: node }
  const { store } = node.running
  const all = await read(house, node, (signal) => store.readAll({ signal }))
  const losses = warnings.flatMap(lostOf)
  const ofType = await read(house, node, (signal) => store.readAll({ signal, filter: { types: [TYPE] } }))
  const found = new Map<string, Reading>()
  for (const stream of streams) found.set(stream, await read(house, node, () => store.load(stream)))
  node.kill()
  return { all, ofType, losses, streams: found, warnings }
}

function lostOf(warning: string): string[] {
  const [, first, last, shard] = LOSS.exec(warning) ?? []
  if (first === undefined) return []
  return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => `${Number(first) + i} of shard ${shard}`)
}

async function read(
  house: House,
  node: SimulatedNode,
  open: (signal: AbortSignal) => AsyncIterable<StoredEvent>,
): Promise<Reading> {
  const events: string[] = []
  const stop = new AbortController()
  const reading = async (): Promise<End> => {
    try {
      for await (const event of open(stop.signal)) {
        if (stop.signal.aborted) return 'waits'
        events.push(nameOf(event))
      }
      return 'ended'
    } catch (error) {
      return { code: error instanceof PenholdError ? error.code : String(error) }
    }
  }
  const ended = new Promise<End>((resolve) => {
    node.main.run(() => void reading().then(resolve))
  })
  const end = (await house.within(READING_MS, ended)) ?? 'waits'
  stop.abort()
  return { events: [...events], end }
}
