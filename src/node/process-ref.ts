/** Processes as they are looked at: who talks to them is the node, on behalf of events. */
import { inspect } from 'node:util'
import type { Aggregate } from '../aggregate/aggregate.ts'
import { definitionError } from '../aggregate/error.ts'
import { createRef, type Moment, type QueryOptions, type RefHost } from '../cluster/ref.ts'
import { aggregateOf } from '../react/process-aggregate.ts'
import { isProcess, type Process, type ProcessState } from '../react/process.ts'
import type { ClusterConfig } from './config.ts'

/** One process. */
export interface ProcessRef<State> {
  /** `type/key`: what it was told, has sent and so on stands there as events. */
  readonly stream: string
  /**
   * What is known of it, durable, now or at a moment of its past. One that was never told anything is as it begins.
   * @throws PenholdError `NoSuchEvent`
   */
  state(moment?: Moment, options?: QueryOptions): Promise<ProcessState<State>>
}

/** @throws PenholdError `BadAddress` or `BadDefinition` */
export function createProcessRef<State>(
  host: RefHost,
  {
    config,
    process,
    key,
  }: {
    readonly config: ClusterConfig
    readonly process: Process<string, any, any, any, State>
    readonly key: string
  },
): ProcessRef<State> {
  if (!isProcess(process)) {
    throw definitionError(`node.process was given ${inspect(process, { depth: 0 })}; give what defineProcess returned`)
  }
  if (!config.processes.some(({ type }) => type === process.type)) {
    throw definitionError(`the cluster '${config.name}' has no process '${process.type}'; add it to the config`)
  }
  const ref = createRef(host, aggregateOf(process) as Aggregate<string, ProcessState<State>>, key)
  return { stream: ref.stream, state: (moment, options) => ref.state(moment, options) }
}
