/** What verify found, for people and for programs. */
import type { Finding } from '../log/verify/finding.ts'
import type { Verification } from '../log/verify/verify.ts'

const MARKS = { damage: 'DAMAGE', notice: 'notice' } as const

export function toText(dataDir: string, verification: Verification): string {
  const { findings, journals, bytes, events, streams } = verification
  const { kept, damages, notices } = findings
  const sorted = kept.toSorted((a, b) => Number(a.severity === 'notice') - Number(b.severity === 'notice'))
  const untold = damages + notices - kept.length
  const [mb, eventCount, streamCount] = [Math.ceil(bytes / 1e6), events, streams].map((n) => n.toLocaleString('en'))
  const read = `${dataDir}: ${journals} journals, ${mb} MB, ${eventCount} events in ${streamCount} streams`
  const sum = damages === 0 ? 'no damage' : `${damages} ${damages === 1 ? 'place is' : 'places are'} damaged`
  const rest = untold === 0 ? [] : [`… and ${untold} more findings`]
  return [
    ...sorted.map(paragraph),
    ...rest,
    read,
    notices === 0 ? sum : `${sum}, ${notices} ${notices === 1 ? 'notice' : 'notices'}`,
  ].join('\n')
}

export function toJson(dataDir: string, verification: Verification): object {
  const { identity, journals, bytes, records, events, streams } = verification
  const { damages, notices, kept } = verification.findings
  return { dataDir, cluster: identity, journals, bytes, records, events, streams, damages, notices, findings: kept }
}

function paragraph({ severity, file, offset, problem, meaning, remedy }: Finding): string {
  const lines = [`${MARKS[severity]} ${file} at byte ${offset}: ${problem}`, `  meaning: ${meaning}`]
  if (remedy !== '') lines.push(`  to do:   ${remedy}`)
  return `${lines.join('\n')}\n`
}
