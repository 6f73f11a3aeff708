/** Rows: what was measured, what was hoped for, and the table or JSON that shows both. */
import { styleText } from 'node:util'
import type { Machine } from './machine.ts'

export type Figure =
  | { readonly kind: 'rate'; readonly perSecond: number }
  | { readonly kind: 'latency'; readonly p50Ms: number; readonly p99Ms: number }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'memory'; readonly megabytes: number }

export interface Row {
  readonly id: string
  readonly what: string
  readonly figure: Figure
  /** By the raw row of the same round: rate by rate, or p50 by p50. The median of all rounds. */
  readonly toRaw?: { readonly pool: number; readonly synchronous: number }
  readonly target?: { readonly text: string; readonly isMet: boolean }
  /** What else is known, for the JSON. */
  readonly details?: Readonly<Record<string, number | readonly number[]>>
}

export interface Report {
  readonly date: string
  readonly machine: Machine
  readonly rows: readonly Row[]
}

/** A target that is a bound on a number. */
export function atMost(value: number, bound: number, text: string): NonNullable<Row['target']> {
  return { text: `≤ ${text}`, isMet: value <= bound }
}
export function atLeast(value: number, bound: number, text: string): NonNullable<Row['target']> {
  return { text: `≥ ${text}`, isMet: value >= bound }
}

const heading = ['', 'what', 'figure', 'to raw, pool', 'to raw, sync', 'target', '']

export function formatTable({ date, machine, rows }: Report): string {
  const { cpu, cores, memoryGb, kernel, node, fileSystem } = machine
  const lines = [heading, ...rows.map(cellsOf)]
  const widths = heading.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  const table = lines.map((line) =>
    line
      .map((cell, column) => pad(cell, widths[column]!, column))
      .join('  ')
      .trimEnd(),
  )
  const title = `${date} · ${cpu}, ${cores} cores, ${memoryGb} GB · ${kernel} · Node ${node} · ${fileSystem}`
  return [title, '', ...table].join('\n')
}

function cellsOf({ id, what, figure, toRaw, target }: Row): string[] {
  const ratio = (value: number | undefined): string => (value === undefined ? '' : value.toFixed(2))
  const verdict = target === undefined ? '' : target.isMet ? 'met' : 'missed'
  return [id, what, formatFigure(figure), ratio(toRaw?.pool), ratio(toRaw?.synchronous), target?.text ?? '', verdict]
}

function formatFigure(figure: Figure): string {
  switch (figure.kind) {
    case 'rate':
      return `${Math.round(figure.perSecond).toLocaleString('en')} /s`
    case 'latency':
      return `p50 ${figure.p50Ms.toFixed(2)}, p99 ${figure.p99Ms.toFixed(2)} ms`
    case 'time':
      return `${figure.ms >= 100 ? Math.round(figure.ms).toLocaleString('en') : figure.ms.toFixed(2)} ms`
    case 'memory':
      return `${Math.round(figure.megabytes).toLocaleString('en')} MB`
  }
}

/** Numbers stand right, words left. */
function pad(cell: string, width: number, column: number): string {
  return column >= 2 && column <= 4 ? cell.padStart(width) : cell.padEnd(width)
}

/** On the error stream, so that the output is the table or the JSON object and nothing else. */
export function say(text: string): void {
  process.stderr.write(`${styleText('dim', text, { stream: process.stderr })}\n`)
}
