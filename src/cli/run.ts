/** From words on a command line to an exit code. */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { PenholdError } from '../aggregate/error.ts'
import { nearest } from '../aggregate/nearest.ts'
import { ConnectionError } from '../cluster/network.ts'
import { Exit, Failure, UsageError, type Command, type Terminal, type Values } from './command.ts'
import { doctor } from './doctor.ts'
import { drain } from './drain.ts'
import { repair } from './repair.ts'
import { start } from './start.ts'
import { status } from './status.ts'
import { verify } from './verify.ts'

const COMMANDS: Readonly<Record<string, Command>> = { start, status, drain, doctor, verify, repair }

/** Runs what the words say. Resolves to the exit code; `signal` is Ctrl-C. */
export async function run(words: readonly string[], terminal: Terminal, signal: AbortSignal): Promise<Exit> {
  try {
    const [name, ...rest] = words
    if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
      terminal.out(overview())
      return name === undefined ? Exit.usage : Exit.ok
    }
    if (name === '--version') {
      terminal.out(await version())
      return Exit.ok
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

/** Of the package, whose folder is two above both the source and what is built of it. */
async function version(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

function overview(): string {
  const names = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  return `Usage: penhold COMMAND [OPTIONS]\n\n${names.join('\n')}\n\npenhold COMMAND --help says more; penhold --version, which it is.`
}

function unknown(name: string): string {
  const what = name.startsWith('-') ? `no command before '${name}'` : `no command '${name}'`
  return `there is ${what}; the nearest is '${nearest(name, Object.keys(COMMANDS))}'`
}

function parse(command: Command, name: string, args: readonly string[]): Values {
  const options = { ...command.options, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
  const { operand } = command
  try {
    const allowPositionals = operand !== undefined
    const { values, positionals } = parseArgs({ args: [...args], options, strict: true, allowPositionals })
    if (operand === undefined || values.help === true) return values
    const [word, ...more] = positionals
    if (word === undefined || more.length > 0) throw new Error(`give one ${operand.toUpperCase()}`)
    return { ...values, [operand]: word }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError(`${name}: ${message}`, { cause: error })
  }
}

function tell(error: unknown, terminal: Terminal, signal: AbortSignal): Exit {
  if (signal.aborted && error === signal.reason) {
    terminal.err('interrupted before all was read; nothing was changed')
    return Exit.interrupted
  }
  if (error instanceof UsageError) {
    terminal.err(`${error.message}\nSee penhold --help`)
    return Exit.usage
  }
  if (error instanceof Failure) {
    terminal.err(error.message)
    return Exit.failed
  }
  if (error instanceof ConnectionError) {
    terminal.err(`the network: ${error.message}`)
    return Exit.failed
  }
  // A bug: with everything that helps to find it.
  if (!(error instanceof PenholdError)) throw error
  terminal.err(`${error.code}: ${error.message}`)
  return Exit.failed
}
