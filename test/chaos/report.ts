/** What a run came to, for people and for programs. */
import { spread, type Figures } from './figures.ts'

export interface Run {
  readonly scenario: string
  readonly seed: number
  readonly seconds: number
  readonly figures: Figures
}

/** One JSON object in one line. */
export function toJson({ scenario, seed, seconds, figures }: Run): string {
  const { openMs, recoverMs, ...counts } = figures
  const date = new Date().toISOString()
  return JSON.stringify({
    date,
    scenario,
    seed,
    seconds,
    ...counts,
    openMs: spread(openMs),
    recoverMs: spread(recoverMs),
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
  return [title, '', ...lines, ...figures.violations.map((violation) => `  ✗ ${violation}`)].join('\n')
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
