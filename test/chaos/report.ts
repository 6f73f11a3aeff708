/** What a run came to, for people and for programs. */
import { spread, type Figures, type Spread } from './figures.ts'
import type { Impact } from './impact.ts'
import type { ReactionFigures } from './reactions/reactions.ts'
import type { ReadModelFigures } from './read-models.ts'

export interface Run {
  readonly scenario: string
  readonly seed: number
  readonly seconds: number
  readonly figures: Figures
}

/** One JSON object in one line. */
export function toJson({ scenario, seed, seconds, figures }: Run): string {
  const { openMs, recoverMs, impacts, ...counts } = figures
  const date = new Date().toISOString()
  return JSON.stringify({
    date,
    scenario,
    seed,
    seconds,
    ...counts,
    openMs: spread(openMs),
    recoverMs: spread(recoverMs),
    impacts: Object.fromEntries([...impacts].map(([kind, impact]) => [kind, summaryOf(impact)])),
  })
}

export function toTable({ scenario, seed, seconds, figures }: Run): string {
  const rows: readonly (readonly [string, string])[] = [
    ['cycles', thousands(figures.cycles)],
    ['faults', listOf(figures.faults)],
    ['commands', `${thousands(figures.commands)}, sent ${thousands(figures.sendings)} times`],
    ['acknowledged', thousands(figures.acknowledged)],
    ['declined', thousands(figures.declined)],
    ['nothing done', thousands(figures.failedDefinitely)],
    ['unknown', thousands(figures.unknown)],
    ['failures', listOf(figures.failures)],
    ['reads', thousands(figures.reads)],
    ['events checked', `${thousands(figures.events)}, in ${figures.checks} checks`],
    ...(figures.heard === 0
      ? []
      : [['events heard', `${thousands(figures.heard)} by everybody who reads all`] as const]),
    ...(figures.readModels === undefined ? [] : [['projections', textOf(figures.readModels)] as const]),
    ...(figures.reactions === undefined ? [] : reactionRows(figures.reactions)),
    ['open', milliseconds(figures.openMs)],
    ['recover', milliseconds(figures.recoverMs)],
    ['left out', figures.leftOut.join('; ') || 'nothing'],
    ['violations', thousands(figures.violations.length)],
  ]
  const lines = rows.map(([name, value]) => `  ${name.padEnd(16)}${value}`)
  const title = `${scenario}, seed ${seed}, ${seconds.toFixed(0)} s, Node ${process.version}`
  return [
    title,
    '',
    ...lines,
    ...impactLines(figures.impacts),
    ...figures.violations.map((violation) => `  ✗ ${violation}`),
  ].join('\n')
}

function textOf(of: ReadModelFigures): string {
  const effects = `${thousands(of.effects)} events in effect, ${thousands(of.seen)} shown to those who were told of them`
  const deeds = `${of.rebuiltLive} rebuilt, ${of.wentBack} gone back, ${of.paused} paused`
  return `${effects}; ${deeds}; ${thousands(of.retried)} parked and retried, ${of.parkedInTheEnd} parked in the end`
}

function reactionRows(of: ReactionFigures): readonly (readonly [string, string])[] {
  const n = (count: number | undefined): string => thousands(count ?? 0)
  return [
    [
      'reactions',
      `${n(of.reactions)} to events; ${n(of.transfers)} processes; what was parked was tried again ${n(of.retried)} times`,
    ],
    ['their commands', `${n(of.commands)} have taken effect, ${n(of.orders)} of them from an inbox`],
    [
      'timers',
      `${n(of.timersSet)} set: ${n(of.timersFired)} fired, ${n(of.timersCancelled)} cancelled, ${n(of.timersReplaced)} replaced; ${n(of.ticks)} runs of a schedule`,
    ],
    ['published', `${n(of.published)} messages, ${n(of.duplicates)} once more`],
    ['event to effect', spreadText(of.consequenceMs)],
    ['all settled', spreadText(of.settleMs)],
  ]
}

function summaryOf(impact: Impact): object {
  const { times, unknown, failures } = impact
  return { times, ...timesOf(impact), unknown, failures }
}

type Times = 'servedMs' | 'longestMs' | 'pauseMs' | 'apartMs' | 'wellMs' | 'consequenceMs'

function timesOf({ servedMs, longestMs, pauseMs, apartMs, wellMs, consequenceMs }: Impact): Record<Times, Spread> {
  return {
    servedMs: spread(servedMs),
    longestMs: spread(longestMs),
    pauseMs: spread(pauseMs),
    apartMs: spread(apartMs),
    wellMs: spread(wellMs),
    consequenceMs: spread(consequenceMs),
  }
}

const COLUMNS = [32, 5, 20, 20, 20, 20, 20, 7] as const

/** What each kind of fault did to callers. */
function impactLines(impacts: ReadonlyMap<string, Impact>): readonly string[] {
  if (impacts.size === 0) return []
  const head = [
    'fault; ms: p50, max',
    'times',
    'served after',
    'longest wait',
    'of those set apart',
    'well after its end',
    'event to effect',
    'unknown',
    'failed',
  ]
  const rows = [...impacts].map(([kind, impact]) => {
    return [
      kind,
      thousands(impact.times),
      ...[impact.servedMs, impact.longestMs, impact.apartMs, impact.wellMs, impact.consequenceMs].map(medianAndMax),
      thousands(impact.unknown),
      listOf(impact.failures) || 'none',
    ]
  })
  return ['', ...[head, ...rows].map((row) => `  ${row.map((cell, i) => cell.padEnd(COLUMNS[i] ?? 0)).join('  ')}`), '']
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${thousands(count)} × ${name}`)
    .join(', ')
}

function milliseconds(values: readonly number[]): string {
  return `${spreadText(spread(values))}, ${values.length} times`
}

function spreadText({ p50, max }: Spread): string {
  return `p50 ${thousands(Math.round(p50))}, max ${thousands(Math.round(max))} ms`
}

function medianAndMax(values: readonly number[]): string {
  const { p50, max } = spread(values)
  return values.length === 0 ? '–' : `${thousands(Math.round(p50))}, ${thousands(Math.round(max))}`
}

function thousands(count: number): string {
  return count.toLocaleString('en')
}
