/** Who takes part in a cluster's simulation beside its clients: what its nodes run, with those who look after that. */
import type { ClusterConfig } from '../../../src/index.ts'
import type { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import type { NodeParts } from '../../../src/testing/simulated-node.ts'
import type { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import type { LoggedStreams } from '../../checker/history.ts'
import type { Account } from '../bank.ts'
import type { Found } from '../ground-truth.ts'
import type { Attempt } from '../history.ts'
import { InboxParty } from '../inboxes/party.ts'
import type { Till } from '../inboxes/till.ts'
import { OutboxParty } from '../outboxes/party.ts'
import { ProjectionParty } from '../projections/party.ts'
import { ReactorParty } from '../reactors/party.ts'
import type { ClusterPlan } from './plan.ts'

export interface Party {
  /** What a node at a place has of it, made for its main thread. */
  parts(place: string, main: SimulatedThread): NodeParts
  /** Each attempt of a client, when it has its outcome. */
  told?(attempt: Attempt): void
  /** Ends all that is wrong with it. */
  heal(): void
  /** That in peace it comes to its end. */
  unfinished(): Promise<string[]>
  /** What the log has of it beside the accounts. */
  streams(shards: number, log: LoggedStreams): readonly string[]
  /** What was wrong, on the way and in the end. */
  broken(found: Found): string[] | Promise<string[]>
}

interface Scene {
  readonly cluster: SimulatedCluster
  readonly account: Account
  readonly config: ClusterConfig
  readonly till: Till
  readonly declinedPayments: ReadonlySet<number>
}

/** Those that the plan has. */
export function partiesOf(
  plan: ClusterPlan,
  { cluster, account, config, till, declinedPayments: declined }: Scene,
): readonly Party[] {
  const { projecting, reacting, publishing, taking, namesCommands } = plan
  return [
    ...(projecting ? [new ProjectionParty(cluster, account, projecting)] : []),
    ...(reacting ? [new ReactorParty(cluster, account, { ...plan, reacting })] : []),
    ...(publishing ? [new OutboxParty(cluster, { account, config, plan: publishing, areIdsKept: namesCommands })] : []),
    ...(taking ? [new InboxParty(cluster, { plan: taking, areIdsKept: namesCommands, till, declined })] : []),
  ]
}
