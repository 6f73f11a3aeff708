/** What the demo was told on its command line. */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { DemoError, messageOf } from './demo-error.ts'

export interface Arguments {
  /** Undefined for generated incidents. */
  readonly input: string | undefined
  /** Undefined for a directory that is removed again. */
  readonly dataDir: string | undefined
  readonly incidents: number
  readonly seed: number
  readonly isJson: boolean
  readonly isHelp: boolean
}

export const HELP = `Runs a service desk on Penhold: each incident an aggregate, each update a command.

  npm run demo [-- OPTIONS]

  --input FILE      rows of a CSV file (.gz: gzipped); without it, incidents are made up
  --data DIR        keep log and read models here; run again with the same rows, it changes nothing
                    (default: a temporary directory, removed afterwards)
  --incidents N     how many incidents to make up (default: 5000)
  --seed N          make up others (default: 1)
  --json            print one JSON object and nothing else
  --help            print this`

const INCIDENTS = 5_000

/**
 * @param incidents how many to make up unless they say
 * @throws DemoError that says what is wrong with them
 */
export function readArguments(args: readonly string[], incidents: number = INCIDENTS): Arguments {
  const values = parse(args)
  if (values.input !== undefined && (values.incidents ?? values.seed) !== undefined) {
    throw new DemoError('--incidents and --seed are for incidents that are made up; --input brings its own')
  }
  if (values.input === '') throw new DemoError('--input needs the name of a file')
  if (values.data === '') throw new DemoError('--data needs the name of a directory')
  return {
    input: values.input,
    dataDir: values.data === undefined ? undefined : resolve(values.data),
    incidents: whole('--incidents', values.incidents ?? String(incidents), 1),
    seed: whole('--seed', values.seed ?? '1', 0),
    isJson: values.json === true,
    isHelp: values.help === true,
  }
}

function parse(args: readonly string[]) {
  const [text, flag] = [{ type: 'string' }, { type: 'boolean' }] as const
  const options = {
    input: text,
    data: text,
    incidents: text,
    seed: text,
    json: flag,
    help: { ...flag, short: 'h' },
  } as const
  try {
    return parseArgs({ args: [...args], options, strict: true }).values
  } catch (error) {
    throw new DemoError(messageOf(error), { cause: error })
  }
}

function whole(name: string, text: string, min: number): number {
  const value = Number(text)
  if (/^\d{1,9}$/.test(text) && value >= min) return value
  throw new DemoError(`${name} is '${text}'; give a whole number from ${min} to 999999999`)
}
