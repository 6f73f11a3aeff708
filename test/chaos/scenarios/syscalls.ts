/**
 * Every system call that a node makes in its data directory fails once, or is the last thing it does: in taking over
 * from a process that was killed, and in working on through several segments. The calls are counted in a run without
 * faults; then there is a run for each call and fault.
 */
import { join } from 'node:path'
import type { Chaos } from '../chaos.ts'
import type { NodeProcess } from '../node.ts'
import type { Scenario } from '../scenario.ts'
import { Trace, type Injection } from '../trace.ts'

const FAULTS: readonly Injection['fault'][] = ['error=EIO', 'error=ENOSPC', 'signal=SIGKILL']
/** One worker and one thread for all other calls, so that the same calls have the same numbers again. */
const OVERRIDES = { workers: 1, shards: 2, segmentBytes: 64 * 1024 }
const ENVIRONMENT = { UV_THREADPOOL_SIZE: '1' }
const COMMANDS = 150
const WORK_MS_MAX = 60_000
/**
 * Calls are counted by thread, so a worker that is started anew fails at the same call again, and where that is the first
 * write of its life, in all its lives: nothing would ever be done. The device is well after so many.
 */
const FAILURES_MAX = 3

interface Base {
  readonly from: string
  readonly checked: string
}

export const syscalls: Scenario = {
  name: 'syscalls',
  about: 'the N-th system call of a kind fails with EIO or ENOSPC or is the last, for every N (all of them by default)',
  requirements: ['tracing'],
  cycles: Number.POSITIVE_INFINITY,
  async run(chaos) {
    const base = await makeBase(chaos)
    const cases = chaos.shuffled(await countCalls(chaos, base)).slice(0, chaos.cycles)
    chaos.plan(cases.length)
    for (const injection of cases) {
      await fail(chaos, base, injection)
      chaos.cycleDone()
    }
  },
}

/** A log whose last owner was killed, so that there is something to take over and something in doubt. */
async function makeBase(chaos: Chaos): Promise<Base> {
  const from = join(chaos.folder, 'base')
  // Reading is a take-over too, and would leave nothing in doubt.
  const checked = join(chaos.folder, 'base-checked')
  const node = chaos.start(from, OVERRIDES)
  await work(chaos, node)
  await node.kill()
  chaos.copy({ from, checked: from, to: checked })
  await chaos.check(checked)
  return { from, checked }
}

async function countCalls(chaos: Chaos, base: Base): Promise<Injection[]> {
  const dataDir = join(chaos.folder, 'counted')
  chaos.copy({ ...base, to: dataDir })
  const node = chaos.boot({ environment: ENVIRONMENT })
  await node.booted
  const trace = await Trace.attach(node, { output: `${dataDir}.trace`, cleanup: chaos.cleanup })
  chaos.open(node, dataDir, OVERRIDES)
  await work(chaos, node)
  await node.close()
  await trace.ended()
  await chaos.check(dataDir)
  return [...trace.callsIn(dataDir)].flatMap(([call, numbers]) =>
    [...numbers].flatMap((at) => FAULTS.map((fault) => ({ call, at, fault }))),
  )
}

async function fail(chaos: Chaos, base: Base, injection: Injection): Promise<void> {
  const dataDir = join(chaos.folder, 'failed')
  chaos.copy({ ...base, to: dataDir })
  const node = chaos.boot({ environment: ENVIRONMENT })
  // A fault may well hit what the process cannot live without.
  node.expectEnd()
  await node.booted
  const trace = await Trace.attach(node, { output: `${dataDir}.trace`, injection, cleanup: chaos.cleanup })
  chaos.open(node, dataDir, OVERRIDES)
  const isDone = await work(chaos, node, () => {
    if (trace.injections >= FAILURES_MAX) trace.detach()
  })
  const what = `${injection.call} ${injection.at} ${injection.fault}`
  if (!isDone) chaos.violated(`the clients were not done within ${WORK_MS_MAX} ms after ${what}`)
  const isKilled = node.isEnded
  if (chaos.random.chance(0.5)) await node.close()
  else await node.kill()
  await trace.ended()
  chaos.figures.fault(
    isKilled || trace.injections > 0 ? `${injection.call} ${injection.fault}` : 'none, as the call was not made',
  )
  await chaos.check(dataDir, what)
}

/**
 * Lets the clients do a piece of work. Resolves to whether it was done, or cut short by the process's end, in time.
 *
 * @param look is called again and again in the meantime
 */
async function work(chaos: Chaos, node: NodeProcess, look: () => void = () => undefined): Promise<boolean> {
  const done = chaos.bank.begin({ commands: COMMANDS })
  let isDone = false
  void Promise.race([done, node.ended]).then(() => (isDone = true))
  const isOver = (): boolean => {
    look()
    return isDone
  }
  return chaos.until(isOver, WORK_MS_MAX)
}
