/** Values, events and commands as people read them: in what a failed test prints. */
import { inspect } from 'node:util'

export function describeValue(value: unknown): string {
  return inspect(value, { depth: null, breakLength: 100, compact: 3, maxArrayLength: 50, maxStringLength: 500 })
}

/** `MoneyDeposited { amount: 50 }`; the name alone where there is no more to it. */
export function describeNamed(name: string, value: unknown): string {
  return value === undefined ? name : `${name} ${describeValue(value)}`
}

export function describeEvent({ type, data }: { readonly type: string; readonly data?: unknown }): string {
  return describeNamed(type, data)
}

export function describeEvents(events: readonly { readonly type: string; readonly data?: unknown }[]): string {
  return events.length === 0 ? 'nothing' : events.map(describeEvent).join(', ')
}

/** The lines of a text, with the first after a label and the others under it. */
export function labelled(label: string, text: string): string {
  return label + text.split('\n').join(`\n${' '.repeat(label.length)}`)
}
