/** What the nodes of a cluster know and nobody else does: how long it is at least, and how one is made. Pure. */
import { definitionError } from '../aggregate/error.ts'

const SECRET_BYTES_MIN = 32

/**
 * @param source what gave them, as the setting or the variable is called
 * @returns them as bytes
 * @throws PenholdError `BadDefinition` where one is too short to be kept from guessing; nothing of it is shown
 */
export function checkSecrets(secrets: readonly (string | Uint8Array)[], source: string): readonly Uint8Array[] {
  const given: unknown = secrets
  // A text is a list too, of letters.
  if (!Array.isArray(given)) throw definitionError(`${source} is no list; give a list of secrets`)
  return secrets.map((secret, i) => {
    const isSecret = typeof secret === 'string' || (secret as unknown) instanceof Uint8Array
    const bytes = Buffer.from(isSecret ? (secret as Uint8Array) : [])
    if (bytes.length >= SECRET_BYTES_MIN) return bytes
    const what = isSecret ? `has ${bytes.length} ${bytes.length === 1 ? 'byte' : 'bytes'}` : 'is neither text nor bytes'
    throw definitionError(
      `${source}[${i}] ${what}, and a shared secret takes ${SECRET_BYTES_MIN} bytes or more, made by chance; make one with 'openssl rand -hex 32', and give all nodes and clients the same`,
    )
  })
}
