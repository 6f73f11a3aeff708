/** What somebody does at a node, as they would do it there. */
import { PenholdError } from '../../src/index.ts'
import type { RunningNode } from '../../src/node/running-node.ts'
import type { SimulatedNode } from '../../src/testing/simulated-node.ts'

/** Undefined where the node dies, or says that it cannot be done; whatever else is thrown is a problem. */
export function attemptAt<Result>(
  node: SimulatedNode,
  work: (running: RunningNode) => Promise<Result>,
  onProblem: (problem: string) => void,
): Promise<Result | undefined> {
  return new Promise((resolve) => {
    node.onDead(() => resolve(undefined))
    node.main.run(() => {
      work(node.running).then(resolve, (error: unknown) => {
        if (!(error instanceof PenholdError)) onProblem(`somebody was told: ${String(error)}`)
        resolve(undefined)
      })
    })
  })
}
