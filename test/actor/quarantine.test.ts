import { expect, test } from 'vitest'
import { Quarantine } from '../../src/actor/quarantine.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const HOUR_MS = 60 * 60_000

function open() {
  const clock = new SimulatedClock()
  const quarantine = new Quarantine(clock)
  /** It holds a thread as soon as it is let do so; for how long it is left alone for that. */
  const offend = (stream = 'a/1'): number => {
    clock.advance(quarantine.remainingMs(stream))
    quarantine.add(stream)
    return quarantine.remainingMs(stream)
  }
  return { clock, quarantine, offend }
}

test('an aggregate is left alone for twice as long each time, and never for more than ten minutes', () => {
  const { offend } = open()
  const seconds = Array.from({ length: 13 }, () => offend() / 1_000)
  expect(seconds).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600])
})

test('one that has held no thread for an hour begins anew', () => {
  const { clock, quarantine, offend } = open()
  for (let i = 0; i < 12; i += 1) offend()
  clock.advance(quarantine.remainingMs('a/1') + HOUR_MS - 1)
  expect(offend()).toBe(600_000)
  clock.advance(quarantine.remainingMs('a/1') + HOUR_MS)
  expect(offend()).toBe(1_000)
  expect(offend()).toBe(2_000)
})

test('each counts for itself, and those that are left alone now are known with what is left of it', () => {
  const { clock, quarantine, offend } = open()
  offend('a/1')
  offend('a/1')
  quarantine.add('a/2')
  clock.advance(500)
  expect(quarantine.list()).toEqual([
    { stream: 'a/1', ms: 1_500 },
    { stream: 'a/2', ms: 500 },
  ])
  clock.advance(500)
  expect(quarantine.list()).toEqual([{ stream: 'a/1', ms: 1_000 }])
  expect(new Quarantine(clock, quarantine.list()).remainingMs('a/1')).toBe(1_000)
})

test('however many do it, no more than a thousand are remembered', () => {
  const { quarantine } = open()
  for (let i = 0; i < 1_500; i += 1) quarantine.add(`a/${i}`)
  expect(quarantine.list()).toHaveLength(1_000)
  expect(quarantine.remainingMs('a/499')).toBe(0)
  expect(quarantine.remainingMs('a/1499')).toBe(1_000)
})
