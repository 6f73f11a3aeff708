const SHOWN_MAX = 12

/** For the end of a message about a word that is not known: which may have been meant, or, where none is like it, which there are. `prefix`: of all of them. */
export function suggestion(word: string, known: readonly string[], prefix = ''): string {
  if (known.length === 0) return 'there is none'
  const candidate = nearest(word, known)
  const isLike = distance(word.toLowerCase(), candidate.toLowerCase()) * 2 <= Math.max(word.length, candidate.length)
  if (isLike) return `the nearest is '${prefix}${candidate}'`
  const all = [...new Set(known)]
  const more = all.length > SHOWN_MAX ? `, and ${all.length - SHOWN_MAX} more` : ''
  const shown = all.slice(0, SHOWN_MAX).map((each) => `${prefix}${each}`)
  return `there ${all.length === 1 ? 'is' : 'are'} ${shown.join(', ')}${more}`
}

/** The known word that takes the fewest letters to be added, taken away or changed (Levenshtein's distance). */
export function nearest(word: string, known: readonly string[]): string {
  const distances = known.map((candidate) => distance(word.toLowerCase(), candidate.toLowerCase()))
  return known[distances.indexOf(Math.min(...distances))] ?? ''
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
