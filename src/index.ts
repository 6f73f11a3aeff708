/** Penhold's public face: everything that a program imports from `penhold`. */
import './node-check.ts'
export { defineAggregate } from './aggregate/aggregate.ts'
export type {
  Aggregate,
  AggregateDefinition,
  AnyEventOf,
  CommandContext,
  CommandName,
  Decision,
  Emit,
  EmittedEvent,
  EventData,
  EventName,
  EventsOf,
  PayloadOf,
  QueryArgumentOf,
  QueryName,
  QueryResultOf,
  Rejection,
  RejectionsOf,
  StateOf,
  StoredEventShape,
  UpcasterChain,
} from './aggregate/aggregate.ts'
export { isPenholdError, PenholdError, Rejected } from './aggregate/error.ts'
export type { Outcome, PenholdErrorOptions } from './aggregate/error.ts'
export type { ActorLimits } from './actor/limits.ts'
export type { ExpectedVersion, NewEvent, PartitionVersion, Persistence, StreamInfo } from './actor/append.ts'
export { isRejection } from './cluster/ref.ts'
export type { Unsettled } from './actor/message.ts'
export type { Accepted, AskOptions, Moment, QueryOptions, Ref } from './cluster/ref.ts'
export type { Comparable, EventFilter, MetadataCondition } from './log/event-filter.ts'
export { deriveId } from './log/identity.ts'
export { idOf } from './log/stream.ts'
export type { EventMetadata, RecordedEvent } from './log/recorded-event.ts'
export { defineCluster } from './node/config.ts'
export type { ClusterConfig, ClusterDefinition, Limits, Overrides, Timeouts } from './node/config.ts'
export { connect } from './node/connect.ts'
export type { ClientOptions } from './node/connect.ts'
export type { CorrelatedCommand, CorrelatedEvent, Correlation, CorrelationOptions } from './node/correlation.ts'
export type { Appended, AppendOptions, CreateOptions, EventStore, LoadOptions } from './node/event-store.ts'
export type { RawEvent, StoredEvent } from './node/stored-event.ts'
export type { NodeStore } from './node/node-store.ts'
export type { EventReading, ReadEvent, ReadEventOf, ReadingStore } from './node/reading-store.ts'
export type { RawReadEvent } from './node/raw-read-event.ts'
export type { LogPlace, RawOption, ReadAllOptions, ReadOptions } from './node/read-options.ts'
export type { FollowOptions } from './node/stream-subscription.ts'
export type { EventHandler, Subscription } from './node/subscription.ts'
export { startNode } from './node/node.ts'
export type { Client } from './node/running-client.ts'
export type { Node, NodeStatus } from './node/running-node.ts'
export type { InboxRef, InboxStatus, LocalInbox } from './node/inboxes.ts'
export type { WorkerStatus } from './node/worker-host.ts'
export type { ProcessRef } from './node/process-ref.ts'
export type { ReactorRef } from './node/consumers.ts'
export type { ProjectionRef } from './node/projections.ts'
export { postgresStore } from './platform/postgres-read-model.ts'
export type { PostgresModel } from './platform/postgres-read-model.ts'
export { redisStore } from './platform/redis-read-model.ts'
export type { RedisModel } from './platform/redis-read-model.ts'
export { sqliteStore } from './platform/sqlite-read-model.ts'
export type { ParkedEvent, RetriedStream, WaitingEvent } from './react/consumer-operations.ts'
export type { ConsumerStatus } from './react/consumer-status.ts'
export type { TimersCondition } from './react/timers.ts'
export { redisStreamSource } from './platform/redis-inbox.ts'
export type { RedisSourceOptions } from './platform/redis-inbox.ts'
export { redisStreamPublisher } from './platform/redis-publisher.ts'
export type { RedisStreamOptions } from './platform/redis-publisher.ts'
export { webhookPublisher } from './platform/webhook-publisher.ts'
export type { WebhookOptions } from './platform/webhook-publisher.ts'
export type { CloudEvent, IntegrationEvent } from './react/cloud-event.ts'
export { defineInbox } from './react/inbox.ts'
export type { Inbox, InboxCommand, InboxDefinition } from './react/inbox.ts'
export type { RetriedMessages } from './react/inbox-operations.ts'
export type { ParkedMessage } from './react/inbox-record.ts'
export type { InboxMessage, InboxPage, InboxPlace, InboxSource, OpenInboxSource } from './react/inbox-source.ts'
export { defineOutbox } from './react/outbox.ts'
export type { Outbox, OutboxDefinition } from './react/outbox.ts'
export { functionPublisher, LeftAlone, PublishRefused } from './react/publisher.ts'
export type { OpenPublisher, OutboxMessage, Publisher, Publish, Publishing } from './react/publisher.ts'
export { NonRetryableError } from './react/non-retryable-error.ts'
export { defineReactor } from './react/reactor.ts'
export type { Reactor, ReactorContext, SendOptions, Sent } from './react/reactor.ts'
export { defineSchedule } from './react/schedule.ts'
export type { Schedule, ScheduledRun, ScheduleDefinition } from './react/schedule.ts'
export type { ScheduleRef, ScheduleStatus } from './react/schedule-status.ts'
export type { When } from './react/timer.ts'
export type { FeedEvent } from './read/event-feed.ts'
export { defineProcess } from './react/process.ts'
export type {
  CommandOutcome,
  FiredTimer,
  PendingTimer,
  Process,
  ProcessContext,
  ProcessDefinition,
  ProcessSettings,
  ProcessState,
  SentByProcess,
  TimerTime,
} from './react/process.ts'
export { memoryStore } from './read/memory-read-model.ts'
export type { MemoryModel } from './read/memory-read-model.ts'
export { defineProjection } from './read/projection.ts'
export type { Projection } from './read/projection.ts'
export type { StartAt } from './react/consumer.ts'
