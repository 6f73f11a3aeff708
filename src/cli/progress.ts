/** How far something long has come, as a walk over the log: a line on stderr that is written over, where people watch. */
import type { Terminal } from './command.ts'
import { sizeOf } from './report.ts'

const SHOWN_EVERY_MS = 100
const BAR_CELLS = 30
const ESCAPE = '\u001b'

export interface Progress {
  readonly show: (done: number, total: number) => void
  /** Takes the line away. */
  readonly end: () => void
}

/** `what` says what is done, as `verifying`; `ofTotal`, of how much, which is else a size in bytes. */
export function createProgress(
  terminal: Terminal,
  what: string,
  ofTotal: (total: number) => string = (total) => ` of ${sizeOf(total)}`,
): Progress {
  if (!terminal.isWatched) return { show: () => undefined, end: () => undefined }
  const startMs = performance.now()
  let shownMs = Number.NEGATIVE_INFINITY
  const write = (text: string): void => void process.stderr.write(`\r${ESCAPE}[2K${text}`)
  return {
    show(done, total) {
      const now = performance.now()
      if (now - shownMs < SHOWN_EVERY_MS || total === 0) return
      shownMs = now
      const share = done / total
      const bar = '█'.repeat(Math.round(share * BAR_CELLS)).padEnd(BAR_CELLS, '░')
      const leftS = Math.ceil(((now - startMs) * (1 - share)) / Math.max(share, 0.001) / 1000)
      write(`${what} ${bar} ${Math.floor(share * 100)} %${ofTotal(total)}, about ${leftS} s to go`)
    },
    end: () => write(''),
  }
}
