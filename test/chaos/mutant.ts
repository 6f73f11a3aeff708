/**
 * Breaks one rule of the code, in every thread that loads this: the simulator's mutants that need nothing but the code.
 * A run that does not notice proves nothing.
 */
import { CLUSTER_MUTANTS } from '../simulation/cluster/mutants.ts'
import { MUTANTS } from '../simulation/mutants.ts'
import { PROJECTION_MUTANTS } from '../simulation/projections/mutants.ts'

/** Those of projections that are not between the simulator and its store. */
const OF_PROJECTIONS = new Set(['failure-goes-past', 'swap-without-holding', 'query-does-not-wait'])
const ofProjections = PROJECTION_MUTANTS.filter(({ name }) => OF_PROJECTIONS.has(name))

const ofCode = [...MUTANTS, ...CLUSTER_MUTANTS, ...ofProjections].filter(({ install }) => install !== undefined)

/** By their names. */
export const mutants: ReadonlyMap<string, () => void> = new Map(ofCode.map(({ name, install }) => [name, install!]))
