/** How a consumer is doing here, as it is told to people and probes. */
import type { LaneState, LaneStatus } from '../read/lane-status.ts'
import type { Consumer } from './consumer.ts'
import type { WaitingShards } from './waiting.ts'

export interface ConsumerStatus {
  readonly kind: Consumer['kind']
  readonly name: string
  /** Of its lanes that run here what needs somebody first; `elsewhere` where none does. */
  readonly state: LaneState | 'elsewhere'
  readonly lanes: readonly ConsumerLaneStatus[]
  /** Events that were handled here, since it was started. */
  readonly events: number
  /** Of the shards that are served here. */
  readonly parkedStreams: number
  readonly trouble: string | undefined
  /** Shards that wait, and go on by themselves; undefined where none does. */
  readonly waiting: WaitingShards | undefined
}

/** The same, as far as it is known without asking the log. */
export interface ConsumerCondition {
  readonly kind: Consumer['kind']
  readonly name: string
  readonly state: LaneState | 'elsewhere'
  /** Shards that stand still until somebody mends something. */
  readonly halted: number
  readonly parkedStreams: number
  /** Shards that wait, and go on by themselves; undefined where none does. */
  readonly waiting: WaitingShards | undefined
}

export interface ConsumerLaneStatus extends LaneStatus {
  /** Events that were read and are not done with. */
  readonly waiting: number
  readonly parkedStreams: number
}
