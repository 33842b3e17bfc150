/// Finds what was probably meant.
package enum Spelling {
  /// The candidate with the fewest changed, missing, additional or exchanged characters, if those are at most a third.
  package static func nearest(to name: String, in candidates: some Sequence<String>) -> String? {
    // Texts from files may be long; what is beyond decides nothing.
    let wanted = Array(name.prefix(256))
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let other = Array(candidate.prefix(256))
      let allowed = min(max(1, max(wanted.count, other.count) / 3), (best?.distance ?? .max) - 1)
      guard abs(wanted.count - other.count) <= allowed else { continue }
      if let distance = distance(wanted, other, allowed) { best = (candidate, distance) }
    }
    return best?.name
  }

  /// The edits from one text to the other; two neighbours that changed places are one. Nil when they are more than allowed.
  private static func distance(_ a: [Character], _ b: [Character], _ allowed: Int) -> Int? {
    var rows = [Array(0...b.count)]
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var least = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, rows[i - 1][j - 1] + 1) }
        row.append(least)
      }
      // Edits never become fewer from a row to those that follow from it and the one before.
      if min(row.min()!, rows[i].min()!) > allowed { return nil }
      rows.append(row)
    }
    let distance = rows[a.count][b.count]
    return distance <= allowed ? distance : nil
  }
}
