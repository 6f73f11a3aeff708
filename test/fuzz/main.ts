/**
 * `npm run fuzz`: made-up input for everything that parses, for as long as one likes. Each target runs in a process of
 * its own with a small heap, so that input which takes too much memory, or never ends, is a finding as well.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { TARGETS } from './targets.ts'

const NAMES = TARGETS.map(({ name }) => name)
const HEAP_MB = 256
/** No batch of inputs takes so long, unless one of them never ends. */
const SILENCE_MS = 60_000

const HELP = `Usage: npm run fuzz -- [options]

  --seconds N     for each target. Default 10
  --target NAME   one target alone, or several, with commas between: ${NAMES.join(', ')}
  --seed S        the first seed, a whole number, for a run that can be repeated. Default: by chance; it is printed
  --help          this text

Prints for each target its inputs, and exits with 1 where one does not keep its promise: with the seed, and the input
shrunk to what matters.`

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    target: { type: 'string', default: NAMES.join(',') },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    help: { type: 'boolean', default: false },
  },
})

process.exitCode = values.help ? print(HELP, 0) : await main()

async function main(): Promise<number> {
  const chosen = values.target.split(',')
  const unknown = chosen.find((name) => !NAMES.includes(name))
  const isTime = Number(values.seconds) > 0 && Number.isInteger(Number(values.seed))
  if (unknown !== undefined) return print(`There is no target '${unknown}'. There are ${NAMES.join(', ')}.`, 2)
  if (!isTime) return print('--seconds is a number above 0, --seed a whole number.', 2)
  print(`seed ${values.seed}, Node ${process.version}, ${values.seconds} s each, a heap of ${HEAP_MB} MB`, 0)
  let failures = 0
  for (const name of chosen) failures += await runTarget(name)
  return failures === 0 ? 0 : 1
}

/** Resolves to 1 where the target does not keep its promise. */
function runTarget(name: string): Promise<number> {
  const script = fileURLToPath(new URL('run-target.ts', import.meta.url))
  const args = [`--max-old-space-size=${HEAP_MB}`, script, name, values.seconds, values.seed]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  let seed = values.seed
  let stopper = setTimeout(stop, SILENCE_MS)
  function stop(): void {
    print(`${name}: an input after seed ${seed} never ends`, 1)
    child.kill('SIGKILL')
  }
  child.on('message', (started: number) => {
    seed = String(started)
    clearTimeout(stopper)
    stopper = setTimeout(stop, SILENCE_MS)
  })
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      clearTimeout(stopper)
      if (code !== 0) print(`${name}: ended with ${code ?? signal}, at seed ${seed}`, 1)
      resolve(code === 0 ? 0 : 1)
    })
  })
}

function print(text: string, exitCode: number): number {
  process.stdout.write(`${text}\n`)
  return exitCode
}
