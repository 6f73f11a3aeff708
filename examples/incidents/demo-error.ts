/** Something that whoever started the demo can mend: the message says what, and is all they are shown. */
export class DemoError extends Error {
  override readonly name = 'DemoError'
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
