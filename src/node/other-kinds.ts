/** What of a config is of another kind than is asked for, and may be taken for it by its name: so that who does is told what it is, and what can be done with it. */
import type { ClusterConfig } from './config.ts'

/** What is no consumer: by name, in words that go on after it. */
export function otherKinds({
  inboxes,
  projections,
  processes,
  schedules,
}: Pick<ClusterConfig, 'inboxes' | 'projections' | 'processes' | 'schedules'>): ReadonlyMap<string, string> {
  const inboxWords = (name: string): string =>
    `is an inbox, which takes messages and cannot be paused; penhold reactors says how it is, and penhold parked list inbox:${name} what it has put aside`
  return new Map([
    ...schedules.map(({ name }): [string, string] => [
      name,
      `is a schedule, whose runs '$timer-commands' sends; name that, or take the schedule out of the config to stop it`,
    ]),
    ...processes.map(({ type }): [string, string] => [
      type,
      `is a process; name '${type}.told', which tells it events, or '${type}.sent', which sends its commands`,
    ]),
    ...projections.map(({ name }): [string, string] => [
      name,
      `is a projection; see penhold projection --help, or node.projection(…)`,
    ]),
    ...inboxes.map(({ name }): [string, string] => [name, inboxWords(name)]),
  ])
}

/** What there is of a name where a projection is asked for, in the same words; undefined where there is nothing, or a projection. */
export function otherThanProjection(
  { projections, reactors, outboxes, inboxes, processes, schedules }: ClusterConfig,
  name: string,
): string | undefined {
  const isOf = (all: readonly { readonly name: string }[]): boolean => all.some((each) => each.name === name)
  if (isOf(projections)) return undefined
  if (isOf(reactors)) return 'is a reactor; see penhold reactor --help, and penhold parked --help'
  if (isOf(outboxes)) return 'is an outbox; see penhold reactor --help, and penhold parked --help'
  if (isOf(inboxes)) return 'is an inbox; see penhold reactors, and penhold parked --help'
  if (processes.some(({ type }) => type === name))
    return 'is a process; see penhold reactors, and penhold parked --help'
  return isOf(schedules) ? `is a schedule; see penhold reactors, and penhold parked list '$timer-commands'` : undefined
}
