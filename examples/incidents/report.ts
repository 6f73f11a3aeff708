/** The end of a run, for people and for programs, and whether it is as it should be. */
import type { Truth } from './generated.ts'
import type { ReadModels } from './read-models/read-models.ts'
import type { Numbers } from './runner.ts'

/** One JSON object in one line. */
export function toJson(numbers: Numbers, readModels: ReadModels): string {
  return JSON.stringify({ ...numbers, readModels })
}

export function toTable(numbers: Numbers): string {
  const { rejections, seconds, commandsPerSecond, ...counts } = numbers
  const rules = Object.entries(rejections).map(([rule, count]) => `${count} × ${rule}`)
  const rows: readonly (readonly [string, string])[] = [
    ['rows', thousands(counts.rows)],
    ['commands', thousands(counts.commands)],
    ['accepted', thousands(counts.accepted)],
    ['rejected', [thousands(counts.rejected), ...rules].join('   ')],
    ['', ''],
    ['incidents', thousands(counts.incidents)],
    ['closed', thousands(counts.closed)],
    ['reassignments', thousands(counts.reassignments)],
    ['reopened', thousands(counts.reopened)],
    ['SLA met', thousands(counts.slaMet)],
    ['events', thousands(counts.events)],
    ['', ''],
    ['seconds', seconds.toFixed(1).padStart(WIDTH)],
    ['commands/s', thousands(commandsPerSecond)],
  ]
  return rows.map(([name, value]) => (name === '' ? '' : `  ${name.padEnd(16)}${value}`)).join('\n')
}

/** The read models, each as a short table. */
export function toTables({ openByGroup, timeByPriority, slaByPriority }: ReadModels): string {
  const open = openByGroup.reduce((sum, each) => sum + each.open, 0)
  const most = openByGroup.slice(0, GROUPS_SHOWN)
  return [
    columns(
      [`${open} open, by group`, 'open', 'unassigned'],
      most.map((each) => [each.group ?? 'none', each.open, each.unassigned]),
    ),
    columns(
      ['resolved, by priority', 'incidents', 'mean', 'median', '9 in 10', 'longest'],
      timeByPriority.map(({ priority, resolved, mean, median, p90, max }) => [
        priority,
        resolved,
        ...[mean, median, p90, max].map(span),
      ]),
    ),
    columns(
      ['SLA, by priority', 'met', 'breached'],
      slaByPriority.map(({ priority, met, breached }) => [priority, met, breached]),
    ),
  ].join('\n\n')
}

function columns(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [heads, ...rows].map(([name = '', ...values]) => {
    const cells = values.map((value) => (typeof value === 'number' ? value.toLocaleString('en') : value).padStart(12))
    return `  ${String(name).padEnd(24)}${cells.join('')}`
  })
  return lines.join('\n')
}

/** Seconds, as people say them. */
function span(seconds: number): string {
  const hours = seconds / 3600
  return hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} d`
}

/** Whether there are incidents of which the rows have not spoken: the log has them from another run, with other rows. */
export function hasOthers(found: ReadModels, expected: ReadModels): boolean {
  return incidentsIn(found) > incidentsIn(expected)
}

export const HAS_OTHERS = 'the log has incidents of other runs too: the read models, which have all, are not checked'

function incidentsIn({ openByGroup, slaByPriority }: ReadModels): number {
  const open = openByGroup.reduce((sum, each) => sum + each.open, 0)
  return slaByPriority.reduce((sum, { met, breached }) => sum + met + breached, open)
}

/** Where read models are not what the rows say: the first row of each that is another one. Not for those that have others. */
export function wrongReadModels(found: ReadModels, expected: ReadModels): readonly string[] {
  if (hasOthers(found, expected)) return []
  const names = Object.keys(expected) as (keyof ReadModels)[]
  return names.flatMap((name) => {
    const is = found[name].map((row) => JSON.stringify(row))
    const shouldBe = expected[name].map((row) => JSON.stringify(row))
    const at = [...is, ...shouldBe].findIndex((_, row) => is[row] !== shouldBe[row])
    if (at === -1) return []
    return [`${name}: row ${at + 1} is ${is[at] ?? 'missing'}, and should be ${shouldBe[at] ?? 'missing'}`]
  })
}

/** Where the numbers are not what really happened. */
export function differences(numbers: Numbers, truth: Readonly<Truth>): readonly string[] {
  const names = Object.keys(truth) as (keyof Truth)[]
  return names
    .filter((name) => numbers[name] !== truth[name])
    .map((name) => `${name} is ${numbers[name]}, and should be ${truth[name]}`)
}

const WIDTH = 9
const GROUPS_SHOWN = 5

function thousands(count: number): string {
  return count.toLocaleString('en').padStart(WIDTH)
}
