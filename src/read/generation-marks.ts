/**
 * What all who run a projection, at whichever node, must know of a generation of its read model. It stands in the generation
 * itself, in the one place that all share, as the places of lanes that no feed has.
 */
import { BEGINNING, type AllPlace } from './all.ts'
import type { Projection } from './projection.ts'
import { LaneMoved, type ReadModel } from './read-model.ts'

/** How a generation above the live one came to be there. */
export type RebuildState =
  /** Whoever runs lanes runs them in it too, until it is live or dropped. */
  | 'under way'
  /** The same, and it may go live with parked events. */
  | 'accepted'
  /** It was live, and somebody went back from it. */
  | 'aside'

type Places = ReadonlyMap<string, AllPlace>

const ORDER = '$order'
const REBUILD = '$rebuild'
const ORDERS = { all: 1, shard: 2 } as const
const STATES = { 'under way': 1, accepted: 2, aside: 3 } as const

/** In which order its events took effect; undefined where none has. */
export function orderOf(places: Places): Projection['order'] | undefined {
  const marked = places.get(ORDER)?.position
  if (marked !== undefined) return marked === ORDERS.all ? 'all' : 'shard'
  const [lane] = [...places.keys()].filter((name) => name !== REBUILD)
  return lane === undefined ? undefined : lane === 'all' ? 'all' : 'shard'
}

/** Undefined where nobody has said so. */
export function rebuildStateOf(places: Places): RebuildState | undefined {
  const marked = places.get(REBUILD)?.position
  return (Object.keys(STATES) as RebuildState[]).find((state) => STATES[state] === marked)
}

/** @throws LaneMoved where somebody else has said it, or something else, at the same time */
export async function markOrder(
  readModel: ReadModel<any>,
  generation: number,
  order: Projection['order'],
): Promise<void> {
  await move(readModel, generation, { lane: ORDER, from: BEGINNING, to: ORDERS[order] })
}

/** Whatever it was before. */
export async function markRebuild(readModel: ReadModel<any>, generation: number, state: RebuildState): Promise<void> {
  for (;;) {
    const from = (await readModel.places(generation)).get(REBUILD) ?? BEGINNING
    if (from.position === STATES[state]) return
    try {
      return await move(readModel, generation, { lane: REBUILD, from, to: STATES[state] })
    } catch (error) {
      if (!(error instanceof LaneMoved)) throw error
    }
  }
}

async function move(
  readModel: ReadModel<any>,
  generation: number,
  { lane, from, to }: { readonly lane: string; readonly from: AllPlace; readonly to: number },
): Promise<void> {
  const change = { lane, from, to: { position: to, shard: 0 }, park: [], unpark: [], apply: () => undefined }
  await readModel.commit(generation, change)
}
