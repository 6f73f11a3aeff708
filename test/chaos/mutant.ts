/**
 * Breaks one rule of the code, in every thread that loads this: the simulator's mutants that need nothing but the code.
 * A run that does not notice proves nothing.
 */
import { CLUSTER_MUTANTS } from '../simulation/cluster/mutants.ts'
import { MUTANTS } from '../simulation/mutants.ts'
import { PROJECTION_MUTANTS } from '../simulation/projections/mutants.ts'
import { REACTOR_MUTANTS } from '../simulation/reactors/mutants.ts'
import { REACTION_MUTANTS } from './reactions/mutants.ts'

/** Those of projections that are not between the simulator and its store. */
const OF_PROJECTIONS = new Set(['failure-goes-past', 'swap-without-holding', 'query-does-not-wait'])
const ofProjections = PROJECTION_MUTANTS.filter(({ name }) => OF_PROJECTIONS.has(name))

/** But for one that draws ids from a seed: nodes would draw the same. */
const ofReactors = REACTOR_MUTANTS.filter(({ name }) => name !== 'ids-not-derived')

const all = [...MUTANTS, ...CLUSTER_MUTANTS, ...ofProjections, ...ofReactors, ...REACTION_MUTANTS]
const ofCode = all.filter(({ install }) => install !== undefined)

/** By their names. */
export const mutants: ReadonlyMap<string, () => void> = new Map(ofCode.map(({ name, install }) => [name, install!]))
