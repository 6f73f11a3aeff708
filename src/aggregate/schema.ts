/**
 * Running a Standard Schema (zod, valibot, arktype …). Only synchronous ones: a handler cannot wait.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'

export type Validated =
  { readonly kind: 'valid'; readonly value: unknown } | { readonly kind: 'invalid'; readonly problem: string }

/** Checks a value. What the schema makes of it (defaults, coercions) is the value from there on. */
export function validate(schema: StandardSchemaV1, value: unknown): Validated {
  let result: ReturnType<StandardSchemaV1['~standard']['validate']>
  try {
    result = schema['~standard'].validate(value)
  } catch (error) {
    return { kind: 'invalid', problem: `its schema failed: ${String(error)}` }
  }
  if (result instanceof Promise) {
    result.catch(() => undefined)
    return { kind: 'invalid', problem: 'its schema is asynchronous; Penhold takes synchronous schemas only' }
  }
  if (result.issues === undefined) return { kind: 'valid', value: result.value }
  return { kind: 'invalid', problem: result.issues.slice(0, 5).map(describe).join('; ') }
}

function describe(issue: StandardSchemaV1.Issue): string {
  const path = (issue.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}
