/** What a walk over the log found. */

/** `damage`: something that was written is gone or wrong. `notice`: nothing is wrong, and an operator may want to know. */
export type Severity = 'damage' | 'notice'

export interface Finding {
  readonly severity: Severity
  /** Relative to the data directory, and where in it. */
  readonly file: string
  readonly offset: number
  readonly problem: string
  /** What it means, and for whom. */
  readonly meaning: string
  /** What to do; empty where there is nothing to do. */
  readonly remedy: string
}

/** Findings beyond so many are counted and not kept: a log that is damaged all over must not use up the memory. */
const KEPT_MAX = 1_000

export class Findings {
  readonly kept: Finding[] = []
  damages = 0
  notices = 0

  add(finding: Finding): void {
    if (finding.severity === 'damage') this.damages += 1
    else this.notices += 1
    if (this.kept.length < KEPT_MAX) this.kept.push(finding)
  }
}

export const REPAIR = 'penhold repair'

/** What mends a file of which one bit is flipped. */
export function mendCommand(file: string): string {
  return `${REPAIR} --mend ${file}, which sets the bit right and keeps a copy of the file as it is`
}

/** What is left where a part of a file cannot be read. */
export function acceptCommand(file: string): string {
  return `Restore ${file} from a backup. If there is none: ${REPAIR} --accept-loss ${file}, which serves what survives`
}
