import { expect, test } from 'vitest'
import type { NodeProcess } from '../node.ts'
import { Clocks } from './clocks.ts'

function node(): { readonly node: NodeProcess; readonly moves: number[] } {
  const moves: number[] = []
  return { node: { moveClock: (ms: number) => void moves.push(ms) } as unknown as NodeProcess, moves }
}

test('clocks that were never set are left alone', () => {
  const clocks = new Clocks()
  const { node: each, moves } = node()
  clocks.level([each])
  expect(moves).toEqual([])
  expect(clocks.agreedUntil).toBe(Number.POSITIVE_INFINITY)
})

test('all are set to what was furthest ahead, or back where one was only behind', () => {
  const clocks = new Clocks()
  const [a, b] = [node(), node()]
  clocks.move(a.node, -60_000)
  clocks.level([a.node, b.node])
  expect([a.moves.at(-1), b.moves.at(-1)]).toEqual([0, 0])
  clocks.move(b.node, 1_000)
  expect(clocks.apartMs).toBe(61_000)
  clocks.level([a.node, b.node])
  expect([a.moves.at(-1), b.moves.at(-1)]).toEqual([1_000, 1_000])
})

test('what was set by a clock that was ahead before all nodes ended is due by the next level, too', () => {
  const clocks = new Clocks()
  const [a, b] = [node(), node()]
  clocks.move(a.node, 600_000)
  clocks.reset()
  expect(clocks.apartMs).toBe(0)
  clocks.level([b.node])
  expect(b.moves).toEqual([600_000])
})
