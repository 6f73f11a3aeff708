/** `npm run demo`: runs the service desk on generated incidents, or on real ones. `--help` tells the options. */
import { startNode } from '../../src/index.ts'
import { HELP, type Arguments } from './arguments.ts'
import { openDataDir } from './data-dir.ts'
import { generateIncidents } from './generated.ts'
import { showProgress } from './progress.ts'
import { differences, HAS_OTHERS, hasOthers, toJson, toTable, toTables, wrongReadModels } from './report.ts'
import { openCsv } from './rows.ts'
import { runExample } from './run-example.ts'
import { run } from './runner.ts'

const CONFIG = new URL('../../cluster.config.ts', import.meta.url)
const OK = 0
const FAILED = 1
const INTERRUPTED = 130

async function main(args: Arguments): Promise<number> {
  const stop = new AbortController()
  // A second Ctrl-C ends it at once: that is safe too.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const generated = args.input === undefined ? generateIncidents(args) : undefined
  await using source = generated ?? (await openCsv(args.input!))
  await using data = await openDataDir(args.dataDir)
  await using node = await startNode(CONFIG, { dataDir: data.path })
  const progress = showProgress(source, { isBar: process.stderr.isTTY && !args.isJson })
  const outcome = await run({ node, source, signal: stop.signal, onRows: progress.update }).finally(progress.stop)
  if (outcome.kind === 'stopped') {
    console.error(`stopped after ${outcome.rows} rows; run it again with the same --data to go on`)
    return INTERRUPTED
  }
  const { numbers, readModels, expected } = outcome
  const text = args.isJson
    ? toJson(numbers, readModels)
    : `\n${source.name}\n\n${toTable(numbers)}\n\n${toTables(readModels)}\n`
  console.log(text)
  if (hasOthers(readModels, expected)) console.error(HAS_OTHERS)
  const wrong = [
    ...(generated === undefined ? [] : differences(numbers, generated.truth)),
    ...wrongReadModels(readModels, expected),
  ]
  for (const difference of wrong) console.error(`wrong: ${difference}`)
  return wrong.length === 0 ? OK : FAILED
}

process.exitCode = await runExample({ help: HELP, main })
