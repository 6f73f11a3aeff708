/**
 * Tools to test aggregates, projections and processes with: everything that a test imports from `penhold/testing`. Works under any test runner.
 * docs/testing.md teaches it.
 */
import '../node-check.ts'
export { arbitraryOf } from './arbitrary-of.ts'
export { checkInvariants, InvariantBroken } from './check-invariants.ts'
export type { CommandArbitraries, InvariantOptions, InvariantReport } from './check-invariants.ts'
export { checkPublisher, PublisherBroken } from './check-publisher.ts'
export type { PublisherUnderTest } from './check-publisher.ts'
export { eventsOf, given, rejected } from './given.ts'
export type {
  Circumstances,
  Expected,
  ExpectedEvent,
  ExpectedRejection,
  Given,
  GivenEvent,
  Then,
  When,
} from './given.ts'
export { givenEvents } from './given-events.ts'
export type { GivenEvents, StreamEvents } from './given-events.ts'
export { accepted, command, fired, givenProcess, refused, told } from './given-process.ts'
export type {
  ExpectedCommand,
  ExpectedDecision,
  GivenProcess,
  Happening,
  RejectionWithoutDetails,
  ThenProcess,
  WhenProcess,
} from './given-process.ts'
export type { Invariant, Invariants, Seen } from './invariant.ts'
export { startVirtualNode } from './virtual-node.ts'
export type { VirtualNode, VirtualNodeOptions } from './virtual-node.ts'
export type { Faults } from './story.ts'
export type { CommandCount } from './tally.ts'
