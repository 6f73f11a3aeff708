/** From words on a command line to an exit code. */
import { parseArgs } from 'node:util'
import { PenholdError } from '../aggregate/error.ts'
import { nearest } from '../aggregate/nearest.ts'
import { Exit, UsageError, type Command, type Terminal, type Values } from './command.ts'
import { repair } from './repair.ts'
import { verify } from './verify.ts'

const COMMANDS: Readonly<Record<string, Command>> = { verify, repair }

/** Runs what the words say. Resolves to the exit code; `signal` is Ctrl-C. */
export async function run(words: readonly string[], terminal: Terminal, signal: AbortSignal): Promise<Exit> {
  try {
    const [name, ...rest] = words
    if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
      terminal.out(overview())
      return name === undefined ? Exit.usage : Exit.ok
    }
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (command === undefined) throw new UsageError(unknown(name))
    const values = parse(command, name, rest)
    if (values['help'] === true) {
      terminal.out(command.help)
      return Exit.ok
    }
    return await command.run(values, terminal, signal)
  } catch (error) {
    return tell(error, terminal, signal)
  }
}

function overview(): string {
  const names = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  return `Usage: penhold COMMAND [OPTIONS]\n\n${names.join('\n')}\n\npenhold COMMAND --help says more.`
}

function unknown(name: string): string {
  const what = name.startsWith('-') ? `no command before '${name}'` : `no command '${name}'`
  return `there is ${what}; the nearest is '${nearest(name, Object.keys(COMMANDS))}'`
}

function parse(command: Command, name: string, args: readonly string[]): Values {
  const options = { ...command.options, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError(`${name}: ${message}`, { cause: error })
  }
}

function tell(error: unknown, terminal: Terminal, signal: AbortSignal): Exit {
  if (signal.aborted) {
    terminal.err('interrupted')
    return Exit.interrupted
  }
  if (error instanceof UsageError) {
    terminal.err(`${error.message}\nSee penhold --help`)
    return Exit.usage
  }
  // A bug: with everything that helps to find it.
  if (!(error instanceof PenholdError)) throw error
  terminal.err(`${error.code}: ${error.message}`)
  return Exit.failed
}
