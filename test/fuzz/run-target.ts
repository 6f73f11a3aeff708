/** One target for some time, in batches, each of a seed that its parent is told before. */
import fc from 'fast-check'
import { TARGETS } from './targets.ts'

const [name, seconds, firstSeed] = process.argv.slice(2)
const { property } = TARGETS.find((target) => target.name === name)!
const BATCH = 200

const startedAt = performance.now()
const endsAt = startedAt + Number(seconds) * 1000
let seed = Number(firstSeed)
let inputs = 0
let slowestMs = 0
while (performance.now() < endsAt && process.exitCode === undefined) {
  process.send?.(seed)
  const batchAt = performance.now()
  const run = await fc.check(property, { numRuns: BATCH, seed })
  slowestMs = Math.max(slowestMs, performance.now() - batchAt)
  inputs += run.numRuns
  if (run.failed) {
    process.stdout.write(`${name}: ${fc.defaultReportMessage(run)}\n${String((run.errorInstance as Error)?.stack)}\n`)
    process.exitCode = 1
  }
  seed += 1
}
const took = (performance.now() - startedAt) / 1000
const { rss, arrayBuffers } = process.memoryUsage()
const figures = [
  `${inputs} inputs`,
  `${Math.round(inputs / took)} /s`,
  `slowest ${BATCH}: ${Math.round(slowestMs)} ms`,
  `memory ${Math.round(rss / 2 ** 20)} MB, ${Math.round(arrayBuffers / 2 ** 20)} MB of it buffers`,
]
process.stdout.write(`${name!.padEnd(21)} ${figures.join(', ')}\n`)
process.disconnect?.()
