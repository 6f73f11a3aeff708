/** Rows as the table people read: a line a peer, a column a workload. */
import type { MeasuredRow, Row } from './row.ts'

const heading = ['', 'W1: accepted/s', 'W2: accepted/s', 'W3: p50 / p99 ms', 'versions']

export function formatTable(rows: readonly Row[]): string {
  const measured = rows.filter((row) => row.kind === 'measured')
  const peers = [...new Set(measured.map(({ peer }) => peer))]
  const lines = peers.map((peer) => cellsOf(measured.filter((row) => row.peer === peer)))
  const missing = rows.filter((row) => row.kind === 'unavailable').map(({ peer, reason }) => `${peer}: ${reason}`)
  return [...align([heading, ...lines]), ...missing].join('\n')
}

function cellsOf(rows: readonly MeasuredRow[]): string[] {
  const row = (name: string): MeasuredRow | undefined => rows.find(({ workload }) => workload === name)
  const rate = (name: string): string => {
    const perSecond = row(name)?.acceptedPerSecond
    return perSecond === undefined ? '–' : Math.round(perSecond).toLocaleString('en')
  }
  const slow = row('W3')
  const latency = slow ? `${slow.p50Ms.toFixed(2)} / ${slow.p99Ms.toFixed(2)}` : '–'
  return [rows[0]?.peer ?? '', rate('W1'), rate('W2'), latency, rows[0]?.version ?? '']
}

function align(lines: readonly (readonly string[])[]): string[] {
  const widths = heading.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const isText = (column: number): boolean => column === 0 || column === heading.length - 1
  const padded = lines.map((line) =>
    line.map((cell, column) =>
      isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    ),
  )
  return padded.map((line) => line.join('  ').trimEnd())
}
