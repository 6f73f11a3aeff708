/**
 * Breaks one rule of the code, in every thread that loads this: the simulator's mutants that need nothing but the code.
 * A run that does not notice proves nothing.
 */
import { CLUSTER_MUTANTS } from '../simulation/cluster/mutants.ts'
import { MUTANTS } from '../simulation/mutants.ts'

const ofCode = [...MUTANTS, ...CLUSTER_MUTANTS].filter(({ install }) => install !== undefined)

/** By their names. */
export const mutants: ReadonlyMap<string, () => void> = new Map(ofCode.map(({ name, install }) => [name, install!]))
