/** How far a run has come, on stderr: a bar for people, a line now and then for logs. */
import { SingleBar } from 'cli-progress'
import type { Chaos } from './chaos.ts'

export interface Progress {
  readonly update: (chaos: Chaos) => void
  readonly stop: () => void
}

const LINE_EVERY_MS = 10_000

export function showProgress(): Progress {
  return process.stderr.isTTY ? showBar() : showLines()
}

function showBar(): Progress {
  const format =
    '{bar} {percentage} % | {cycles} cycles, {acknowledged} acknowledged, {violations} violations | {duration_formatted}, {eta_formatted} to go'
  const bar = new SingleBar({ format, stream: process.stderr, hideCursor: true })
  let isStarted = false
  return {
    update({ share, figures }) {
      const { cycles, acknowledged, violations } = figures
      const payload = { cycles, acknowledged, violations: violations.length }
      if (!isStarted) bar.start(100, 0, payload)
      isStarted = true
      bar.update(Math.floor(share * 100), payload)
    },
    stop: () => bar.stop(),
  }
}

function showLines(): Progress {
  let lastMs = performance.now()
  return {
    update({ share, figures }) {
      if (performance.now() - lastMs < LINE_EVERY_MS) return
      lastMs = performance.now()
      const { cycles, acknowledged, violations } = figures
      process.stderr.write(
        `${Math.floor(share * 100)} %, ${cycles} cycles, ${acknowledged} acknowledged, ${violations.length} violations\n`,
      )
    },
    stop: () => undefined,
  }
}
