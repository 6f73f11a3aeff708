/**
 * A batch of which one bit is flipped, in words. Where more stands behind it in its journal it was durable once. Of the last one
 * the log does not tell that, as nobody writes down what was acknowledged. What it tells is whether a crash can have left it so:
 * where nothing was written yet there are zeroes. And whether the batch counts still. In any case nothing is lost, as one with a
 * flipped bit is carried over (catalog.ts).
 */
import type { Batch } from '../batch.ts'
import { segmentPath } from '../path.ts'
import { mendCommand, type Finding, type Findings } from './finding.ts'
import { describe } from './record-text.ts'
import type { FlippedBatch, Survey } from './survey.ts'

/** What is said of one behind which more stands. */
export function findingOf({ journal, segment, flipped }: FlippedBatch): Finding {
  const { offset, mask, batch, harmed } = flipped
  const file = segmentPath(journal, segment)
  return {
    severity: 'damage',
    file,
    offset,
    problem: `one bit is flipped (mask ${hex(mask)}) in batch ${batch.number} at byte ${batch.offset}`,
    meaning: harmed === undefined ? "it is in the batch's header; its records are whole" : describe(harmed),
    remedy: mendCommand(file),
  }
}

/** Tells of those that are the last of their journals, once all journals were read. */
export function tellFlippedLast(survey: Survey, findings: Findings): void {
  for (const last of survey.flippedLast) {
    const { isMissing, written } = last.flipped
    const finding = findingOf(last)
    const cause = isMissing
      ? 'a crash in the middle of the write may have left it so, and nothing of it was acknowledged then; or it is damage'
      : 'it was written otherwise; whether it was acknowledged the log does not tell'
    const meaning = `${finding.meaning}. It is the last batch of its journal: ${cause}. Nothing is lost: ${whyNot(survey, written)}`
    findings.add({ ...finding, severity: isMissing ? 'notice' : 'damage', meaning })
  }
}

function whyNot(survey: Survey, { records }: Batch): string {
  const ofShards = records.filter(({ isOfJournal }) => !isOfJournal)
  if (ofShards.length === 0) return 'it has no events'
  return ofShards.every((record) => survey.isSuperseded(record))
    ? 'its shards were taken over since, and what they had of it stands in the journals of their owners'
    : 'who takes its shards over carries it, with the bit set right'
}

function hex(mask: number): string {
  return `0x${mask.toString(16).padStart(2, '0')}`
}
