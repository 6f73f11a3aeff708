/** How far a run has come, on stderr: a bar for people, a line now and then for logs. */
import { SingleBar } from 'cli-progress'
import type { Source } from './rows.ts'

export interface Progress {
  readonly update: (rows: number) => void
  readonly stop: () => void
}

const LINE_EVERY_MS = 5_000

export function showProgress(source: Source, { isBar }: { readonly isBar: boolean }): Progress {
  return isBar ? showBar(source) : showLines(source)
}

function showBar(source: Source): Progress {
  const format = '{bar} {percentage}% | {rows} rows | {duration_formatted}, {eta_formatted} to go'
  const bar = new SingleBar({ format, stream: process.stderr, hideCursor: true, etaBuffer: 50 })
  bar.start(100, 0, { rows: '0' })
  return {
    update: (rows) => bar.update(Math.floor(100 * source.fraction()), { rows: rows.toLocaleString('en') }),
    stop: () => bar.stop(),
  }
}

function showLines(source: Source): Progress {
  let lastMs = performance.now()
  return {
    update(rows) {
      if (performance.now() - lastMs < LINE_EVERY_MS) return
      lastMs = performance.now()
      console.error(`${rows.toLocaleString('en')} rows, ${Math.floor(100 * source.fraction())} % of ${source.name}`)
    },
    stop: () => undefined,
  }
}
