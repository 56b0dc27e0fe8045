//! What was probably meant by a word that nobody knows.

/// Finds the known word that a written one is probably a slip of: one letter in three wrong, left out, too many, or in its
/// neighbour's place. Case does not count.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let written = folded(written);
    // Nobody slips so often, and whoever sends a long word must not make us work for it.
    if written.len() > 64 {
        return None;
    }
    let slips = |word: &str| slips(&written, &folded(word));
    known
        .into_iter()
        .map(|word| (slips(word), word))
        .filter(|(slips, word)| *slips <= (word.chars().count() / 3).max(1))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// How many slips lead from one word to the other.
fn slips(from: &[char], to: &[char]) -> usize {
    let (mut before_last, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=to.len()).collect());
    for (row, letter) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, wanted) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != wanted);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && from[row - 1] == *wanted && *letter == to[column - 1] {
                least = least.min(before_last[column - 1] + 1);
            }
            next.push(least);
        }
        (before_last, last) = (last, next);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let keys = ["Fuel", "Memory", "Channel", "Env", "Args"];
        for (written, meant) in [
            ("Fule", Some("Fuel")),
            ("fuel", Some("Fuel")),
            ("MEMROY", Some("Memory")),
            ("Chanel", Some("Channel")),
            ("Channels", Some("Channel")),
            ("Enc", Some("Env")),
            ("Colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, keys), meant, "{written}");
        }
        assert_eq!(nearest(&"F".repeat(100_000), keys), None);
    }
}
