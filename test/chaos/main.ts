/** `npm run chaos`: one scenario, its figures, and whether anything was violated. */
import { helpText, readArguments, type Arguments } from './arguments.ts'
import { showProgress } from './progress.ts'
import { toJson, toTable } from './report.ts'
import { missing } from './requirement.ts'
import { runScenario } from './scenario.ts'

async function torment({
  scenario,
  cycles,
  minutes,
  seed,
  rate,
  only,
  mutant,
  projects,
  reacts,
  isJson,
}: Arguments): Promise<number> {
  const lack = missing(scenario.requirements)
  if (lack !== undefined) throw new Error(`${scenario.name} cannot run here: ${lack}`)
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort(signal))
  const progress = showProgress()
  const before = performance.now()
  try {
    const figures = await runScenario(scenario, {
      cycles: cycles ?? (minutes === undefined ? scenario.cycles : Number.POSITIVE_INFINITY),
      minutes,
      seed,
      rate,
      only,
      mutant,
      projects,
      reacts,
      signal: stopping.signal,
      onCycle: (chaos) => progress.update(chaos),
    })
    const run = { scenario: scenario.name, seed, seconds: (performance.now() - before) / 1000, figures }
    progress.stop()
    process.stdout.write(`${isJson ? toJson(run) : toTable(run)}\n`)
    return figures.violations.length === 0 ? 0 : 1
  } catch (error) {
    progress.stop()
    if (!stopping.signal.aborted) throw error
    process.stderr.write(`stopped; nothing is left behind\n`)
    return 130
  }
}

try {
  const given = readArguments(process.argv.slice(2))
  if (given === undefined) process.stdout.write(`${helpText()}\n`)
  else process.exitCode = await torment(given)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
