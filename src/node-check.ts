/** Imported first by each entry of the package: what follows it is not evaluated on a Node that is too old. */
import { nodeTooOld } from './node-version.ts'

const problem = nodeTooOld(process.version)
if (problem !== undefined) throw new Error(problem)
