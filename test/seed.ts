/**
 * Where chance begins in a run of the tests: always there, so that what is said of a commit is said of it again. What else there
 * may be to find is looked for on purpose, with `PENHOLD_SEED=fresh`, or a number that a run has told (docs/testing.md).
 */
const given = process.env['PENHOLD_SEED']

export const SEED: number = given === 'fresh' ? Date.now() % 2 ** 31 : Number(given ?? 20_261_122)
