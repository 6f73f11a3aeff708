/** What a subcommand is, and what it gets. */
import type { ParseArgsOptionsConfig } from 'node:util'

/** Exit codes: of the process, and part of what the command line promises. */
export const Exit = {
  ok: 0,
  /** There is damage, or what was asked for could not be done. */
  failed: 1,
  usage: 2,
  interrupted: 130,
} as const
export type Exit = (typeof Exit)[keyof typeof Exit]

export interface Terminal {
  /** Results. */
  out(text: string): void
  /** Everything else: progress, warnings, errors. */
  err(text: string): void
  /** Whether people watch what `err` says. */
  readonly isWatched: boolean
  /** Whether people watch what `out` says. */
  readonly isScreen: boolean
}

export type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

export interface Command {
  /** One line for the list of commands. */
  readonly summary: string
  /** What `--help` prints. */
  readonly help: string
  /** Options beside `--help` and `--json`, which every command has. */
  readonly options: ParseArgsOptionsConfig
  /** The names among the values of the words that it needs beside its options. */
  readonly operands?: readonly string[]
  run(values: Values, terminal: Terminal, signal: AbortSignal): Promise<Exit>
}

/** Commands under one word. */
export interface CommandGroup {
  readonly summary: string
  readonly help: string
  readonly commands: Readonly<Record<string, Command | CommandGroup>>
}

/** What was typed makes no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  /** What to do; undefined where `--help` says it. */
  readonly remedy: string | undefined

  constructor(what: string, remedy?: string, options?: ErrorOptions) {
    super(what, options)
    this.remedy = remedy
  }
}

/** What was typed makes sense, and cannot be done as things are. Its message says what, and what to do. */
export class Failure extends Error {
  override readonly name = 'Failure'
}
