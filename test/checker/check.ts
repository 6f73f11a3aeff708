/**
 * The checker: holds a history against the log, exactly, in the time that sorting takes.
 *
 * A stream's log is a total order of its commands, so that each operation's place is known: a command stands at the
 * version of its last event, a read of version v between v and v + 1. What is left to see is that
 *
 *   1. the log is whole: versions count 1, 2, 3 …, positions grow, shards count their events without a gap (I4), and each
 *      epoch of a shard has one writer, whose events stand before those of the next (I1);
 *   2. each command is in it once and whole, and was sent (I5);
 *   3. each acknowledgement is in it, at the version and position that were told (I2); nothing is there of a command
 *      whose every sending failed definitely (I7); no command was decided anew after it had taken effect (I5);
 *   4. each state that was shown is that of the log at that version, and unless it is of the past no command is half
 *      done in it (I3);
 *   5. no operation stands before another that had returned before it was sent.
 *
 * 5 is linearizability: places order all operations up to reads of the same version, and any cycle of that order with
 * real time has an operation that stands before one that ended before it began, which one sweep over time finds.
 * A sending whose outcome is unknown may take effect at any later time, or never.
 */
import type { CommandEntry, Entry, LoggedEvent, LoggedStreams, Seen, Violation, ViolationKind } from './history.ts'

export function check(history: readonly Entry[], log: LoggedStreams): Violation[] {
  const entries = Map.groupBy(history, ({ stream }) => stream)
  const streams = new Set([...log.keys(), ...entries.keys()])
  return [...streams].flatMap((stream) =>
    new StreamCheck(stream, entries.get(stream) ?? [], log.get(stream) ?? []).run(),
  )
}

/**
 * That each shard counts its events 1, 2, 3 …, at growing positions, and has one writer at a time; for a log that holds all
 * streams of its shards.
 */
export function checkShards(log: LoggedStreams): Violation[] {
  const violations: Violation[] = []
  const byShard = Map.groupBy([...log.values()].flat(), ({ shard }) => shard)
  for (const [shard, events] of byShard) {
    const stream = `shard ${shard}`
    const row = events.toSorted((a, b) => a.seq - b.seq)
    const gap = row.findIndex(({ seq }, i) => seq !== i + 1)
    if (gap !== -1) {
      const message = `the event after seq ${row[gap - 1]?.seq ?? 0} of shard ${shard} has seq ${row[gap]!.seq}`
      violations.push({ kind: 'seq-gap', stream, message })
    }
    const early = row.findIndex(({ position }, i) => i > 0 && position <= row[i - 1]!.position)
    if (early !== -1) {
      const message = `seq ${row[early]!.seq} is at ${row[early]!.position}, the one before at ${row[early - 1]!.position}`
      violations.push({ kind: 'position-order', stream, message })
    }
    violations.push(
      ...secondWriters(row).map((second): Violation => ({ kind: 'two-writers', stream, message: second })),
    )
  }
  return violations
}

/** Events of an epoch that another journal has events of, or that a later epoch's have come before. */
function secondWriters(row: readonly LoggedEvent[]): string[] {
  const writers = new Map<number, number>()
  let newest = 0
  return row.flatMap(({ seq, owner }) => {
    if (owner === undefined) return []
    const { epoch, journal } = owner
    const writer = writers.get(epoch) ?? journal
    writers.set(epoch, writer)
    const isLate = epoch < newest
    newest = Math.max(newest, epoch)
    if (writer === journal && !isLate) return []
    const other = isLate ? `after one of epoch ${newest}` : `of which journal ${writer} has some`
    return [`seq ${seq} is of epoch ${epoch} in journal ${journal}, ${other}`]
  })
}

/** A command's events in the log. */
interface Effect {
  readonly firstVersion: number
  lastVersion: number
  position: number
  events: number
}

/** Something at a place in the stream's order. */
interface Operation {
  readonly place: number
  readonly isWrite: boolean
  readonly invokedAt: number
  readonly returnedAt: number
  readonly text: string
}

class StreamCheck {
  readonly #stream: string
  readonly #entries: readonly Entry[]
  readonly #log: readonly LoggedEvent[]
  readonly #effects = new Map<string, Effect>()
  /** The versions at which a command ends. */
  readonly #ends = new Set<number>()
  readonly #operations: Operation[] = []
  readonly #violations: Violation[] = []

  constructor(stream: string, entries: readonly Entry[], log: readonly LoggedEvent[]) {
    this.#stream = stream
    this.#entries = entries
    this.#log = log
  }

  run(): Violation[] {
    this.#checkLog()
    const commands = this.#entries.filter((entry) => entry.kind === 'command')
    const sendings = Map.groupBy(commands, ({ commandId }) => commandId)
    for (const id of this.#effects.keys()) {
      if (!sendings.has(id)) this.#violated('never-sent', `the log has events of the command ${id}, which nobody sent`)
    }
    for (const [id, sent] of sendings) this.#checkCommand(id, sent)
    for (const entry of this.#entries) {
      if (entry.kind === 'command') continue
      this.#checkSeen(entry.seen, describe(entry))
      if (entry.kind === 'past') continue
      this.#checkWhole(entry.seen, describe(entry))
      this.#addRead(entry, entry.seen)
    }
    this.#checkRealTime()
    return this.#violations
  }

  /** 1, and the effects of the commands. */
  #checkLog(): void {
    for (const [i, { version, position, commandId }] of this.#log.entries()) {
      const before = this.#log[i - 1]
      if (version !== i + 1) this.#violated('version-gap', `event ${i + 1} of the log has version ${version}`)
      if (before !== undefined && position <= before.position) {
        this.#violated('position-order', `version ${version} is at ${position}, the one before at ${before.position}`)
      }
      const effect = this.#effects.get(commandId)
      if (effect === undefined) {
        this.#effects.set(commandId, { firstVersion: version, lastVersion: version, position, events: 1 })
      } else if (before?.commandId === commandId) {
        effect.lastVersion = version
        effect.position = position
        effect.events += 1
      } else {
        const message = `the command ${commandId} took effect at version ${effect.firstVersion} and again at ${version}`
        this.#violated('duplicate-effect', message)
      }
      if (this.#log[i + 1]?.commandId !== commandId) this.#ends.add(version)
    }
  }

  /** 2 and 3 for all sendings of one command. */
  #checkCommand(id: string, sent: readonly CommandEntry[]): void {
    const effect = this.#effects.get(id)
    for (const entry of sent) this.#checkSending(entry, effect)
    this.#addDeclined(sent)
    if (effect === undefined) return
    const [{ events }] = sent as readonly [CommandEntry]
    if (effect.events !== events) {
      const kind = effect.events < events ? 'torn-command' : 'duplicate-effect'
      this.#violated(kind, `the log has ${effect.events} events of the command ${id}, which makes ${events}`)
    }
    const able = sent.filter(({ outcome }) => outcome.kind === 'accepted' || outcome.kind === 'unknown')
    if (able.length === 0) {
      const message = `version ${effect.lastVersion} is of the command ${id}, of which every sending did nothing: ${sent.map(describe).join('; ')}`
      this.#violated('definite-failure-took-effect', message)
      return
    }
    const returns = sent.filter(({ outcome }) => outcome.kind === 'accepted').map(({ returnedAt }) => returnedAt)
    this.#operations.push({
      place: effect.lastVersion,
      isWrite: true,
      invokedAt: able.reduce((least, { invokedAt }) => Math.min(least, invokedAt), Number.POSITIVE_INFINITY),
      returnedAt: returns.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY),
      text: able.map(describe).join('; '),
    })
  }

  #checkSending(entry: CommandEntry, effect: Effect | undefined): void {
    const { outcome } = entry
    if (outcome.kind === 'accepted') {
      if (effect === undefined) {
        this.#violated('lost-acknowledgement', `${describe(entry)}, and the log of ${this.#log.length} events lacks it`)
      } else if (outcome.version !== effect.lastVersion) {
        this.#violated('wrong-version', `${describe(entry)}, and the log has it at ${effect.lastVersion}`)
      } else if (outcome.position !== effect.position) {
        this.#violated('wrong-position', `${describe(entry)}, and the log has it at ${effect.position}`)
      }
    } else if (outcome.kind === 'declined') {
      const { seen } = outcome
      if (effect !== undefined && effect.lastVersion <= seen.version) {
        this.#violated('decided-again', `${describe(entry)}, and it had taken effect at ${effect.lastVersion}`)
      }
      this.#checkSeen(seen, describe(entry))
      this.#checkWhole(seen, describe(entry))
    }
  }

  /** A sending that repeats another may be told what the other one would have been: it was decided since then. */
  #addDeclined(sent: readonly CommandEntry[]): void {
    const able = sent.filter(({ outcome }) => outcome.kind === 'declined' || outcome.kind === 'unknown')
    const invokedAt = able.reduce((least, entry) => Math.min(least, entry.invokedAt), Number.POSITIVE_INFINITY)
    for (const entry of able) {
      if (entry.outcome.kind === 'declined') this.#addRead({ ...entry, invokedAt }, entry.outcome.seen)
    }
  }

  /** 4. */
  #checkSeen({ version, digest }: Seen, text: string): void {
    const event = this.#log[version - 1]
    if (version > 0 && event === undefined) {
      this.#violated('unknown-state', `${text}, and the log ends at ${this.#log.length}`)
    } else if (event?.digest !== undefined && digest !== undefined && event.digest !== digest) {
      this.#violated('unknown-state', `${text}, and by the log the digest there is ${event.digest}`)
    }
  }

  #checkWhole({ version }: Seen, text: string): void {
    const command = this.#log[version - 1]?.commandId
    if (command === undefined || this.#ends.has(version)) return
    this.#violated('half-a-command-seen', `${text}, in the middle of the command ${command}`)
  }

  #addRead(entry: Entry, { version }: Seen): void {
    const { invokedAt, returnedAt } = entry
    this.#operations.push({ place: version + 0.5, isWrite: false, invokedAt, returnedAt, text: describe(entry) })
  }

  /** 5: in the order of time, the highest place of what has returned bounds from below what is sent then. */
  #checkRealTime(): void {
    const byReturn = this.#operations.toSorted((a, b) => a.returnedAt - b.returnedAt)
    let returned = 0
    let highest: Operation | undefined
    for (const operation of this.#operations.toSorted((a, b) => a.invokedAt - b.invokedAt)) {
      for (; returned < byReturn.length && byReturn[returned]!.returnedAt < operation.invokedAt; returned += 1) {
        if (byReturn[returned]!.place > (highest?.place ?? 0)) highest = byReturn[returned]
      }
      if (highest === undefined || operation.place >= highest.place) continue
      const message = `${operation.text} stands before what had already returned: ${highest.text}`
      this.#violated(operation.isWrite ? 'order-broken' : 'stale-read', message)
    }
  }

  #violated(kind: ViolationKind, message: string): void {
    this.#violations.push({ kind, stream: this.#stream, message })
  }
}

function describe(entry: Entry): string {
  const times = `[${entry.invokedAt} … ${entry.returnedAt}]`
  if (entry.kind !== 'command') return `${entry.kind} ${times} saw ${describeSeen(entry.seen)}`
  const { commandId, outcome } = entry
  switch (outcome.kind) {
    case 'accepted':
      return `command ${commandId} ${times} was told version ${outcome.version}, position ${outcome.position}`
    case 'declined':
      return `command ${commandId} ${times} was declined on ${describeSeen(outcome.seen)}`
    case 'none':
    case 'unknown':
      return `command ${commandId} ${times} was told '${outcome.kind}'`
  }
}

function describeSeen({ version, digest }: Seen): string {
  return `version ${version}${digest === undefined ? '' : ` with digest ${digest}`}`
}
