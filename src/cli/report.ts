/** What verify found, for people and for programs. */
import type { Finding } from '../log/verify/finding.ts'
import type { Verification } from '../log/verify/verify.ts'

const MARKS = { damage: 'DAMAGE', notice: 'notice' } as const

export function toText(dataDir: string, verification: Verification): string {
  const { findings, journals, bytes, events, streams } = verification
  const { kept, damages, notices } = findings
  const sorted = kept.toSorted((a, b) => Number(a.severity === 'notice') - Number(b.severity === 'notice'))
  const untold = damages + notices - kept.length
  const read = `${dataDir}: ${counted(journals, 'journal')}, ${sizeOf(bytes)}, ${counted(events, 'event')} in ${counted(streams, 'stream')}`
  const sum = damages === 0 ? 'no damage' : `${counted(damages, 'place')} ${damages === 1 ? 'is' : 'are'} damaged`
  const rest = untold === 0 ? [] : [`… and ${counted(untold, 'more finding')}`]
  return [...sorted.map(paragraph), ...rest, read, notices === 0 ? sum : `${sum}, ${counted(notices, 'notice')}`].join(
    '\n',
  )
}

/** `1 stream`, `2,000 streams`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}

/** As one line, and no command to a terminal: it may be what strangers have sent. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/\p{Cc}/gu, '\u{fffd}')
}

/** `12 B`, `3.4 kB`, `1,200 MB`. */
export function sizeOf(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`
  const [size, unit] = bytes < 1e6 ? [bytes / 1e3, 'kB'] : [bytes / 1e6, 'MB']
  return `${size.toLocaleString('en', { maximumFractionDigits: size < 10 ? 1 : 0 })} ${unit}`
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
