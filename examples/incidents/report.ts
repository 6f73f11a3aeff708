/** The end of a run, for people and for programs, and whether it is as it should be. */
import type { Truth } from './generated.ts'
import type { Numbers } from './runner.ts'

/** One JSON object in one line. */
export function toJson(numbers: Numbers): string {
  return JSON.stringify(numbers)
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

/** Where the numbers are not what really happened. */
export function differences(numbers: Numbers, truth: Readonly<Truth>): readonly string[] {
  const names = Object.keys(truth) as (keyof Truth)[]
  return names
    .filter((name) => numbers[name] !== truth[name])
    .map((name) => `${name} is ${numbers[name]}, and should be ${truth[name]}`)
}

const WIDTH = 9

function thousands(count: number): string {
  return count.toLocaleString('en').padStart(WIDTH)
}
