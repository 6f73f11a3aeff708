/** What nodes say of their projections, for people and for programs. Pure. */
import type { ProjectionStatus } from '../read/projection-status.ts'
import { runs, type Sighting, type Sightings } from './projection-sightings.ts'
import { counted } from './report.ts'
import { table } from './table.ts'

const UNKNOWN = '?'
const NONE = '-'

/** A projection, and what is said of it by the node that runs it, or by one that could not begin. */
export interface Shown {
  readonly name: string
  readonly sighting: Sighting | undefined
}

/** By name. Where several nodes run lanes of one, each of them. */
export function shownOf({ all }: Pick<Sightings, 'all'>): readonly Shown[] {
  const names = [...new Set(all.map(({ status }) => status.name))].sort()
  return names.flatMap((name): readonly Shown[] => {
    const ofName = all.filter(({ status }) => status.name === name)
    const telling = ofName.filter((sighting) => runs(sighting) || sighting.status.state !== 'elsewhere')
    return telling.length === 0 ? [{ name, sighting: undefined }] : telling.map((sighting) => ({ name, sighting }))
  })
}

export function projectionTable(shown: readonly Shown[]): string {
  const rows = shown.map(({ name, sighting }) => {
    if (sighting === undefined) return [name, NONE, NONE, 'nowhere', UNKNOWN, UNKNOWN, NONE]
    const { member, status } = sighting
    const { generation, state, parkedStreams } = status
    return [name, member.name, generation, state, lagOf(status), parkedStreams ?? UNKNOWN, rebuildOf(status)]
  })
  return table([['PROJECTION', 'NODE', 'GENERATION', 'STATE', 'LAG', 'PARKED', 'REBUILD'], ...rows])
}

export function toJson(shown: readonly Shown[]): readonly object[] {
  return shown.map(({ name, sighting }) =>
    sighting === undefined ? { name, state: 'nowhere' } : { ...sighting.status, node: sighting.member.name },
  )
}

/** What somebody has to see to. */
export function problems(shown: readonly Shown[]): readonly string[] {
  return shown.flatMap(({ name, sighting }) => {
    if (sighting === undefined)
      return [`no node runs projection ${name} at the moment; see that every shard has an owner`]
    const { member, status } = sighting
    const { rebuild } = status
    return [
      ...(status.state === 'halted' ? [`projection ${name} stands still at ${member.name}: ${status.trouble}`] : []),
      ...(rebuild?.state === 'halted'
        ? [`the rebuild of ${name} stands still at ${member.name}: ${rebuild.trouble}`]
        : []),
    ]
  })
}

/** One projection, with all that is known of it. */
export function describe({ member, status }: Sighting): string {
  const { name, generation, state, events, parkedStreams, trouble, rebuild, unfinished, previous } = status
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['node', member.name],
    ['generation', previous === undefined ? `${generation}` : `${generation}, and ${previous} to go back to`],
    ['state', state],
    ['lag', lagOf(status)],
    ['events', `${events.toLocaleString('en')} since it was started there`],
    ['parked', parkedStreams === undefined ? UNKNOWN : counted(parkedStreams, 'stream')],
    ['trouble', trouble],
    ['rebuild', rebuild && `generation ${rebuild.generation}, ${rebuildOf(status)}, ${rebuild.state}`],
    ['', rebuild?.trouble],
    [
      'unfinished',
      unfinished === undefined
        ? undefined
        : `generation ${unfinished}: penhold projection rebuild ${name} --resume, or --abort`,
    ],
  ]
  const told = rows.flatMap(([key, value]) => (value === undefined ? [] : [`  ${key.padEnd(12)}${value}`]))
  return [name, ...told].join('\n')
}

function lagOf({ lag }: ProjectionStatus): string {
  return lag === undefined ? UNKNOWN : `${lag.ms} ms`
}

function rebuildOf({ rebuild, unfinished }: ProjectionStatus): string {
  if (rebuild === undefined) return unfinished === undefined ? NONE : 'unfinished'
  const { fraction, isHeldBack, state } = rebuild
  if (state === 'caught up' && isHeldBack) return 'held back'
  return `${Math.floor(fraction * 100)} %`
}
