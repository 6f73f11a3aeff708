/** Rules of a log that is harmed, each broken on purpose, from outside. */
import { Catalog } from '../../../src/log/catalog.ts'
import { OpenIndex } from '../../../src/log/segment-index.ts'
import { replace, type Mutant } from '../mutants.ts'

export const DAMAGE_MUTANTS: readonly Mutant[] = [
  {
    name: 'harm-not-remembered',
    breaks: 'a shard of which something in a segment is harmed is taken for whole (I2)',
    install: () => replace(OpenIndex.prototype, 'harm', () => () => undefined),
  },
  {
    name: 'former-reigns-not-asked',
    breaks: 'a shard is served whatever is harmed of the reigns before the last (I2)',
    install: () => replace(Catalog.prototype, 'flawOfReign', () => () => Promise.resolve(undefined)),
  },
  {
    name: 'lost-end-passed-over',
    breaks: 'a segment that has lost its end is taken for one that ends there (I2)',
    install: () => replace(Catalog.prototype, 'gapBetween', () => () => Promise.resolve(undefined)),
  },
]
