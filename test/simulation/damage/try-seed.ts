/** Plans in which a log is harmed and mended, tried. */
import { Trials } from '../try-seed.ts'
import { DAMAGE_MUTANTS } from './mutants.ts'
import { damagePlans, type DamagePlan } from './plan.ts'
import { runDamage } from './run.ts'

export const DAMAGE_TRIALS: Trials<DamagePlan> = new Trials({
  plans: damagePlans,
  run: runDamage,
  mutants: DAMAGE_MUTANTS,
  test: 'test/simulation/damage/damage.test.ts',
})
