/** What a run came to, for people and for programs. */
import { spread, type Figures, type Spread } from './figures.ts'
import type { Impact } from './impact.ts'

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
    ['open', milliseconds(figures.openMs)],
    ['recover', milliseconds(figures.recoverMs)],
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

function summaryOf(impact: Impact): object {
  const { times, unknown, failures } = impact
  return { times, ...timesOf(impact), unknown, failures }
}

function timesOf({ servedMs, pauseMs }: Impact): Record<'servedMs' | 'pauseMs', Spread> {
  return { servedMs: spread(servedMs), pauseMs: spread(pauseMs) }
}

const COLUMNS = [44, 6, 22, 30, 9] as const

/** What each kind of fault did to callers. */
function impactLines(impacts: ReadonlyMap<string, Impact>): readonly string[] {
  if (impacts.size === 0) return []
  const head = ['fault', 'times', 'every shard served', 'longest wait, by shard', 'unknown', 'failed']
  const rows = [...impacts].map(([kind, impact]) => {
    const { servedMs, pauseMs } = timesOf(impact)
    return [
      kind,
      thousands(impact.times),
      `p50 ${Math.round(servedMs.p50)}, max ${Math.round(servedMs.max)} ms`,
      `p50 ${Math.round(pauseMs.p50)}, p99 ${Math.round(pauseMs.p99)}, max ${Math.round(pauseMs.max)} ms`,
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
  const { p50, max } = spread(values)
  return `p50 ${Math.round(p50)}, max ${Math.round(max)} ms, ${values.length} times`
}

function thousands(count: number): string {
  return count.toLocaleString('en')
}
