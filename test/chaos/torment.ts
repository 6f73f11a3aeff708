import type { NodeProcess } from './node.ts'

/** Something that is done to the cluster, and undone. */
export interface Torment {
  readonly kind: string
  /** No caller whose process goes on may be told of it. */
  readonly isHarmless: boolean
  /** @param apart tells, before anything is awaited, which nodes are kept from others or from answering */
  readonly run: (apart: (...nodes: readonly NodeProcess[]) => void) => Promise<unknown>
}

/** By its name. */
export function isPair({ kind }: Torment): boolean {
  return kind.includes(BETWEEN)
}

const BETWEEN = ' + '

/** Two at once. */
export function both(one: Torment, other: Torment): Torment {
  return {
    kind: `${one.kind}${BETWEEN}${other.kind}`,
    isHarmless: false,
    run: (apart) => Promise.all([one.run(apart), other.run(apart)]),
  }
}
