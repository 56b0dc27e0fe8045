//! What the server does not let this side do. It says so beside its answers: `Permissions Violation for Publish to "subject"`.

use crate::pipe::Named;
use netpipe::Role;
use netpipe::lossy::{Forbidden, To};
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// A refusal of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    act: Act,
    subject: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Publish,
    Subscribe,
}

impl Violation {
    /// Reads an error of the server's; `None`: it is another one.
    pub fn of(words: &str) -> Option<Violation> {
        let rest = words.strip_prefix("Permissions Violation for ")?;
        let acts = [("Publish ", Act::Publish), ("Subscription ", Act::Subscribe)];
        let (act, rest) = acts.into_iter().find_map(|(word, act)| Some((act, rest.strip_prefix(word)?)))?;
        let (subject, _) = rest.split_once('"')?.1.split_once('"')?;
        Some(Violation { act, subject: subject.to_owned() })
    }

    /// What it means to whoever needs it: EACCES.
    pub fn failure(&self, prefix: &str) -> Failure {
        let subject = &self.subject;
        let act = match self.act {
            Act::Publish => "publish to",
            Act::Subscribe => "subscribe to",
        };
        let kept = "or keep no names: `names = \"best-effort\"`";
        let remedy = if subject.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')) {
            format!("allow it to publish and to subscribe to {prefix}.>")
        } else if self.act == Act::Publish {
            format!("allow it to publish to $KV.{prefix}-names.> and $JS.API.>, {kept}")
        } else {
            format!("allow it to subscribe to _INBOX.>, {kept}")
        };
        Failure::new(Code::EACCES, format!("the server does not let this user {act} {subject}: {remedy}"))
    }

    /// What it keeps an end of this pipe from; `None`: nothing that it needs.
    pub fn forbids(&self, prefix: &str, name: &Named) -> Option<Forbidden> {
        let subject = self.subject.as_str();
        let is_inbox = subject.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(".end."));
        let (is_reader, is_writers) = (*name.reader == *subject, *name.writers == *subject);
        match self.act {
            Act::Publish if is_reader => Some(Forbidden::Speaking(To::Reader)),
            Act::Publish if is_writers => Some(Forbidden::Speaking(To::Writers)),
            Act::Publish if is_inbox => Some(Forbidden::Speaking(To::Peer(subject.into()))),
            Act::Publish => {
                // Notes of writers that failed are kept there, too: a pipe does without.
                let is_claim = subject == format!("$KV.{prefix}-names.reader.{}", name.key);
                (is_claim || subject.starts_with("$JS.API.")).then_some(Forbidden::Claiming)
            }
            Act::Subscribe if is_reader => Some(Forbidden::Hearing(Some(Role::Reader))),
            Act::Subscribe if is_writers => Some(Forbidden::Hearing(Some(Role::Writer))),
            Act::Subscribe if is_inbox => Some(Forbidden::Hearing(None)),
            Act::Subscribe => subject.starts_with("_INBOX.").then_some(Forbidden::Claiming),
        }
    }

    /// Whether it keeps this side from hearing anything.
    pub fn is_deafening(&self, prefix: &str) -> bool {
        self.act == Act::Subscribe
            && self.subject.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(".end."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_ends_that_need_what_it_forbids() {
        let name = Named {
            reader: "zvfs.pipe.a.reader".into(),
            writers: "zvfs.pipe.a.writers".into(),
            key: "a".into(),
        };
        let peer = Forbidden::Speaking(To::Peer("zvfs.end.0f.1-0".into()));
        for (words, expected) in [
            ("Publish to \"zvfs.pipe.a.reader\"", Some(Forbidden::Speaking(To::Reader))),
            ("Publish to \"zvfs.pipe.a.writers\"", Some(Forbidden::Speaking(To::Writers))),
            ("Publish to \"zvfs.pipe.b.reader\"", None),
            ("Publish to \"zvfs.end.0f.1-0\"", Some(peer)),
            ("Publish to \"$KV.zvfs-names.reader.a\"", Some(Forbidden::Claiming)),
            ("Publish to \"$KV.zvfs-names.reader.b\"", None),
            ("Publish to \"$KV.zvfs-names.discarded.a\"", None),
            ("Publish to \"$JS.API.STREAM.INFO.KV_zvfs-names\"", Some(Forbidden::Claiming)),
            ("Publish with Reply of \"elsewhere\"", None),
            ("Subscription to \"zvfs.pipe.a.reader\"", Some(Forbidden::Hearing(Some(Role::Reader)))),
            ("Subscription to \"zvfs.pipe.a.writers\"", Some(Forbidden::Hearing(Some(Role::Writer)))),
            ("Subscription to \"zvfs.end.0f.*\" (sid \"1\")", Some(Forbidden::Hearing(None))),
            ("Subscription to \"_INBOX.x.*\" using queue \"q\"", Some(Forbidden::Claiming)),
            ("Subscription to \"elsewhere\"", None),
        ] {
            let violation = Violation::of(&format!("Permissions Violation for {words}")).unwrap();
            assert_eq!(violation.forbids("zvfs", &name), expected, "{words}");
            assert_eq!(violation.is_deafening("zvfs"), expected == Some(Forbidden::Hearing(None)), "{words}");
        }
    }

    #[test]
    fn a_refusal_names_what_to_allow() {
        for (words, subject, allow) in [
            ("Publish to \"zvfs.pipe.a.reader\"", "publish to zvfs.pipe.a.reader", "zvfs.>"),
            (
                "Publish to \"$KV.zvfs-names.reader.a\"",
                "$KV.zvfs-names.reader.a",
                "$KV.zvfs-names.> and $JS.API.>",
            ),
            ("Publish to \"$JS.API.INFO\"", "$JS.API.INFO", "$KV.zvfs-names.> and $JS.API.>"),
            ("Subscription to \"_INBOX.x.*\"", "subscribe to _INBOX.x.*", "_INBOX.>"),
        ] {
            let violation = Violation::of(&format!("Permissions Violation for {words}")).unwrap();
            let failure = violation.failure("zvfs");
            assert_eq!(failure.code, Code::EACCES);
            assert!(failure.text.contains(subject) && failure.text.contains(allow), "{}", failure.text);
        }
    }

    #[test]
    fn other_errors_are_no_refusals() {
        for words in
            ["Stale Connection", "Permissions Violation for Publish to x", "Permissions Violation for \"x\""]
        {
            assert_eq!(Violation::of(words), None, "{words}");
        }
    }
}
