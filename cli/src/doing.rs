//! What a command was doing when a provider failed. The provider's error names the object that failed: it is not named again.

use vfs_core::Error;

/// Puts what was being done with one object in front of an error.
pub fn with(error: Error, verb: &str, object: &str) -> Error {
    match names(&error, object) {
        true => error.context(verb.to_owned()),
        false => error.context(format!("{verb} {object}")),
    }
}

/// The same of two: what was being done from one to the other, `more` behind it.
pub fn between(error: Error, verb: &str, from: &str, to: &str, more: &str) -> Error {
    let mut text = verb.to_owned();
    // Where both are said, or are one, the text is clear without them.
    for (word, object) in [("", from), (" to", to)] {
        if !names(&error, object) {
            text = format!("{text}{word} {object}");
        }
    }
    error.context(format!("{text}{more}"))
}

/// Whether an error's text has an object behind a verb.
fn names(error: &Error, object: &str) -> bool {
    let text = format!("{}: ", error.chain());
    text.contains(&format!(" {object}: ")) || text.contains(&format!(" {object} "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vfs_core::Code;

    /// "copy a to b: read a: lost" and "cat a: read a: lost": two names for one failure.
    #[test]
    fn each_object_is_named_once() {
        let error = |text: &'static str| Error::new(Code::EIO, text);
        for (cause, text) in [
            ("read file:/a: lost", "copy to b: read file:/a: lost"),
            ("write b: no space", "copy file:/a: write b: no space"),
            ("write b at 7: no space", "copy file:/a: write b at 7: no space"),
            ("connection lost", "copy file:/a to b: connection lost"),
            ("move file:/a to b: no", "copy: move file:/a to b: no"),
            ("read file:/ab: lost", "copy file:/a to b: read file:/ab: lost"),
        ] {
            assert_eq!(between(error(cause), "copy", "file:/a", "b", "").chain(), text);
        }
        assert_eq!(with(error("read a: lost"), "cat", "a").chain(), "cat: read a: lost");
        assert_eq!(with(error("lost"), "cat", "a").chain(), "cat a: lost");
        let kept = between(error("write b: no space"), "copy", "a", "b", " (1 MB is kept)");
        assert_eq!(kept.chain(), "copy a (1 MB is kept): write b: no space");
    }
}
