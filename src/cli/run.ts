/** From words on a command line to an exit code. */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { nearest, suggestion } from '../aggregate/nearest.ts'
import { complain, complaintOf } from './complaint.ts'
import { Exit, UsageError, type Command, type CommandGroup, type Terminal, type Values } from './command.ts'
import { backup } from './backup.ts'
import { doctor } from './doctor.ts'
import { drain } from './drain.ts'
import { exportEvents } from './export.ts'
import { importEvents } from './import.ts'
import { outbox } from './outbox.ts'
import { parked } from './parked.ts'
import { projection } from './projection.ts'
import { reactor, reactors } from './reactors.ts'
import { repair } from './repair.ts'
import { restore } from './restore.ts'
import { start } from './start.ts'
import { status } from './status.ts'
import { verify } from './verify.ts'

const COMMANDS: CommandGroup['commands'] = {
  start,
  status,
  drain,
  projection,
  reactors,
  reactor,
  outbox,
  parked,
  doctor,
  verify,
  repair,
  backup,
  restore,
  export: exportEvents,
  import: importEvents,
}

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
    const found = find(COMMANDS, [name, ...rest])
    if ('help' in found) {
      terminal.out(found.help)
      return Exit.ok
    }
    const { command, names, args } = found
    const values = parse(command, names.join(' '), args)
    if (values['help'] === true) {
      terminal.out(command.help)
      return Exit.ok
    }
    return await command.run(values, terminal, signal)
  } catch (error) {
    return tell(error, { words, terminal, signal })
  }
}

interface Found {
  readonly command: Command
  readonly names: readonly string[]
  readonly args: readonly string[]
}

/** The command that the words name, or the help of those that they do not choose from. @throws UsageError */
function find(
  commands: CommandGroup['commands'],
  words: readonly string[],
  before: readonly string[] = [],
): Found | { readonly help: string } {
  const [name, ...args] = words
  const known = Object.keys(commands)
  if (name === undefined) throw new UsageError(`${before.join(' ')} needs one of ${known.join(', ')}`)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  const names = [...before, name]
  if (command === undefined) throw new UsageError(unknown(name, { before, known }))
  if (!('commands' in command)) return { command, names, args }
  return args[0] === '--help' || args[0] === '-h' ? { help: command.help } : find(command.commands, args, names)
}

/** Of the package, whose folder is two above both the source and what is built of it. */
async function version(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

function overview(): string {
  const names = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(11)}${summary}`)
  return `Usage: penhold COMMAND [OPTIONS]\n\n${names.join('\n')}\n\npenhold COMMAND --help says more; penhold --version, which it is.

Exit code: 0 all is well, 1 something is not or could not be done, 2 usage, 130 interrupted; COMMAND --help says what
each means. A failure is told on stderr as \`penhold: WHAT; WHAT TO DO\`, with --json as {"error":{"code","message"}},
where code is one of docs/errors.md or left out.`
}

interface Choice {
  readonly before: readonly string[]
  readonly known: readonly string[]
}

function unknown(name: string, { before, known }: Choice): string {
  if (name.startsWith('-')) return `there is no command before '${name}'`
  const whole = (word: string): string => [...before, word].join(' ')
  return `there is no command '${whole(name)}'; the nearest is '${whole(nearest(name, known))}'`
}

function parse(command: Command, name: string, args: readonly string[]): Values {
  const options = { ...command.options, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
  const { operands = [] } = command
  try {
    const allowPositionals = operands.length > 0
    const { values, positionals } = parseArgs({ args: [...args], options, strict: true, allowPositionals })
    if (!allowPositionals || values.help === true) return values
    if (positionals.length === operands.length) {
      return { ...values, ...Object.fromEntries(operands.map((operand, i) => [operand, positionals[i]])) }
    }
    const named = operands.map((operand) => `one ${operand.toUpperCase()}`).join(' and ')
    throw new Error(`it takes ${named}, and was given ${positionals.length}`)
  } catch (error) {
    throw new UsageError(`${name}: ${wrongWord(error, Object.keys(options))}`, undefined, { cause: error })
  }
}

/** The words that name a command, as far as they do. */
function namesIn(commands: CommandGroup['commands'], [name = '', ...rest]: readonly string[]): readonly string[] {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) return []
  return [name, ...('commands' in command ? namesIn(command.commands, rest) : [])]
}

/** What `parseArgs` says, without its advice on quoting; an option that is misspelt with the nearest. */
function wrongWord(error: unknown, options: readonly string[]): string {
  const { code, message } = error as NodeJS.ErrnoException
  const [, option] = /^Unknown option '(--?[^']*)'/.exec(message) ?? []
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' && option !== undefined) {
    return `there is no option '${option}'; ${suggestion(option.replace(/^-+/, ''), options, '--')}`
  }
  return message.split(/\.\s/, 1)[0]!
}

interface Run {
  readonly words: readonly string[]
  readonly terminal: Terminal
  readonly signal: AbortSignal
}

function tell(error: unknown, { words, terminal, signal }: Run): Exit {
  // Also where the words could not be read.
  const isJson = words.includes('--json')
  if (signal.aborted && error === signal.reason) {
    complain(terminal, { message: 'interrupted before all was read; nothing was changed' }, isJson)
    return Exit.interrupted
  }
  if (error instanceof UsageError) {
    const names = namesIn(COMMANDS, words)
    const remedy = error.remedy ?? `see ${['penhold', ...names, '--help'].join(' ')}`
    complain(terminal, { message: `${error.message}; ${remedy}` }, isJson)
    return Exit.usage
  }
  const complaint = complaintOf(error)
  // A bug: with everything that helps to find it.
  if (complaint === undefined) throw error
  complain(terminal, complaint, isJson)
  return Exit.failed
}
