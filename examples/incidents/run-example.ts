/** From the words on a command line to an example's exit code. */
import { PenholdError } from '../../src/index.ts'
import { readArguments, type Arguments } from './arguments.ts'
import { DemoError, messageOf } from './demo-error.ts'

export interface Example {
  /** What `--help` prints. */
  readonly help: string
  /** How many incidents are made up unless told otherwise. Default: 5,000. */
  readonly incidents?: number
  /** Resolves to the exit code. */
  readonly main: (args: Arguments) => Promise<number>
}

const OK = 0
const FAILED = 1
const BAD_ARGUMENTS = 2

/** What the one who started it can mend is told without a stack. */
export async function runExample({ help, incidents, main }: Example): Promise<number> {
  let args: Arguments
  try {
    args = readArguments(process.argv.slice(2), incidents)
  } catch (error) {
    console.error(`${messageOf(error)}\nTry --help.`)
    return BAD_ARGUMENTS
  }
  if (args.isHelp) {
    console.log(help)
    return OK
  }
  try {
    return await main(args)
  } catch (error) {
    if (error instanceof DemoError) console.error(error.message)
    else if (error instanceof PenholdError) console.error(`${error.code}: ${error.message}`)
    else throw error
    return FAILED
  }
}
