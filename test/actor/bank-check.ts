import { expect } from 'vitest'
import type { SimulatedBank } from './simulated-bank.ts'

/** Holds what the clients were told against what the log has: I2, I4, I5, and that the state is the fold of the events. */
export async function checkBank(bank: SimulatedBank): Promise<void> {
  const bySeq = new Map<number, number[]>()
  for (const { account, events, balance } of await bank.read()) {
    expect(
      events.map(({ version }) => version),
      'versions count 1, 2, 3 …',
    ).toEqual(events.map((_, i) => i + 1))
    for (const { shard, seq } of events) bySeq.set(shard, [...(bySeq.get(shard) ?? []), seq])
    const positions = events.map(({ position }) => position)
    expect(positions, 'positions increase').toEqual([...new Set(positions)].toSorted((a, b) => a - b))

    let sum = 0
    for (const [index, command] of bank.commands.entries()) {
      if (command.account !== account) continue
      const own = events.filter(({ commandId }) => commandId === bank.commandId(index))
      const times = command.name === 'transferIn' ? 2 : 1
      expect([0, times], `command ${index} took effect at most once, and whole`).toContain(own.length)
      for (const { reply } of bank.answers.filter((answer) => answer.command === index)) {
        if (reply.kind === 'accepted') {
          expect(own, `command ${index} was acknowledged`).toHaveLength(times)
          expect(own.at(-1)!.version, `command ${index} stands at the version that was told`).toBe(reply.version)
          expect(own.at(-1)!.position).toBe(reply.position)
        }
      }
      if (bank.replies.get(index)?.kind === 'rejected') {
        expect(own, `command ${index} was rejected`).toHaveLength(0)
      }
      if (own.length > 0) sum += command.name === 'withdraw' ? -command.amount : command.amount
    }
    expect(balance, 'the state is the fold of the log').toBe(sum)
    expect(sum, 'no decision overdrew the account').toBeGreaterThanOrEqual(0)
  }
  for (const [shard, seqs] of bySeq) {
    const sorted = seqs.toSorted((a, b) => a - b)
    expect(sorted, `shard ${shard} counts its events 1, 2, 3 …`).toEqual(sorted.map((_, i) => i + 1))
  }
}
