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
