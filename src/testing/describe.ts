/** Values, events and commands as people read them: in what a failed test prints. */
import { inspect } from 'node:util'

export function describeValue(value: unknown): string {
  return inspect(asPlain(value), {
    depth: null,
    breakLength: 100,
    compact: 3,
    maxArrayLength: 50,
    maxStringLength: 500,
  })
}

/** With the prototype that plain objects have: those out of the log have none, which nobody wants to read. */
function asPlain(value: unknown, above: readonly unknown[] = []): unknown {
  if (typeof value !== 'object' || value === null || above.includes(value)) return value
  const path = [...above, value]
  if (Array.isArray(value)) return value.map((item) => asPlain(item, path))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asPlain(item, path)]))
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
