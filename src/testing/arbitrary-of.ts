/**
 * Values derived from a schema: from what it says of itself in JSON Schema, through the Standard JSON Schema interface
 * (standardschema.dev/json-schema). Whatever the JSON Schema leaves out, the schema itself decides: no value is given
 * that it refuses.
 */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'
import * as fc from 'fast-check'
import { validate } from '../aggregate/schema.ts'
import { plainProblem } from './decision.ts'
import { describeValue } from './describe.ts'
import { arbitraryFromJson } from './json-schema.ts'

/** So many values in a row that the schema refuses: it asks for more than its JSON Schema says. */
const MISSES_MAX = 1_000

/**
 * An arbitrary of what the schema takes.
 *
 * zod (from 4.2) and arktype (from 2.1.28) say what their schemas take; a valibot schema does once it is wrapped in
 * `toStandardJsonSchema` of `@valibot/to-json-schema`.
 *
 * @throws an error that says why nothing can be derived, now or, where the schema refuses all that is derived, when
 * values are made
 */
export function arbitraryOf<S extends StandardSchemaV1>(schema: S): fc.Arbitrary<StandardSchemaV1.InferInput<S>> {
  let misses = 0
  return arbitraryFromJson(jsonSchemaOf(schema)).filter((value): value is StandardSchemaV1.InferInput<S> => {
    const validated = validate(schema, value)
    const problem = validated.kind === 'invalid' ? validated.problem : plainProblem(value)
    if (problem === undefined) {
      misses = 0
      return true
    }
    misses += 1
    if (misses < MISSES_MAX) return false
    throw new Error(
      `a schema refuses each of ${MISSES_MAX} values that were derived from it, such as ${describeValue(value)} (${problem}); give an arbitrary for it`,
    )
  })
}

function jsonSchemaOf(schema: StandardSchemaV1): unknown {
  const { vendor, jsonSchema } = schema['~standard'] as Partial<StandardJSONSchemaV1.Props> & StandardSchemaV1.Props
  if (jsonSchema === undefined) {
    const remedy =
      vendor === 'valibot'
        ? 'wrap it in toStandardJsonSchema of @valibot/to-json-schema, or give an arbitrary for it'
        : 'give an arbitrary for it'
    throw new Error(`a schema of ${vendor} does not say what it takes (Standard JSON Schema); ${remedy}`)
  }
  try {
    return jsonSchema.input({ target: 'draft-2020-12' })
  } catch (error) {
    throw new Error(
      `a schema of ${vendor} cannot say what it takes: ${(error as Error).message}; give an arbitrary for it`,
      {
        cause: error,
      },
    )
  }
}
