//! Where the readers' names are kept: a bucket of the server's key-value store, in which the first to write a key has it. Beside
//! them, notes of writers that failed before their reader came.
//!
//! The store forgets an entry after 60 s, so nothing has to be swept after a crash. A server without such a store keeps no names: then,
//! if the operator wants that, readers ask each other, which two that come at the same time may do in vain.

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, KeyValueError, RequestError, RequestErrorKind,
};
use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use async_nats::jetstream::stream::{self, DiscardPolicy};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, Subject};
use bytes::Bytes;
use netpipe::lossy::{Answer, Wish};
use std::collections::HashMap;
use std::error::Error as _;
use std::iter::successors;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};

/// How long the store keeps what nobody writes again.
const KEPT: Duration = Duration::from_secs(60);
/// For one answer of the store.
const PATIENCE: Duration = Duration::from_secs(3);

/// A wish of an end, for its name.
#[derive(Debug)]
pub struct Asked {
    /// Whose.
    pub id: u64,
    /// The name's key.
    pub key: String,
    /// What.
    pub wish: Wish,
}

/// Whoever keeps the names.
pub struct Names {
    /// `None`: nobody.
    store: Option<Store>,
    /// Tells this instance's readers from all others.
    instance: String,
    /// The revisions of the names that are this instance's, by their reader.
    held: HashMap<u64, u64>,
}

impl Names {
    /// Readers ask each other.
    pub fn unkept(instance: &str) -> Names {
        Names { store: None, instance: instance.to_owned(), held: HashMap::new() }
    }

    /// Finds the store's bucket, or makes it with so many replicas.
    ///
    /// # Errors
    /// ENOTSUP: the server has no store. ETIMEDOUT, EACCES, EIO: it cannot be used.
    pub async fn kept(client: &Client, bucket: &str, replicas: usize, instance: &str) -> Attempt<Names> {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(PATIENCE);
        // Not by `create_key_value`: that first asks for the account's limits, and cannot read what servers before 2.10 answer.
        // Not read from replicas: a name that was just given back would still look taken.
        let stream = stream::Config {
            name: format!("KV_{bucket}"),
            description: Some("the readers of zvfs's netpipes".to_owned()),
            subjects: vec![format!("$KV.{bucket}.>")],
            max_messages_per_subject: 1,
            max_age: KEPT,
            num_replicas: replicas,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: false,
            ..stream::Config::default()
        };
        let store = match context.get_key_value(bucket).await {
            Ok(store) => store,
            Err(error) if is_silence(&error) => return Err(silent(bucket)),
            Err(_) => {
                context.create_stream(stream).await.map_err(|error| of_creation(&error, bucket))?;
                let made = context.get_key_value(bucket).await;
                made.map_err(|error| unusable(Code::EIO, bucket, &error.to_string()))?
            }
        };
        Ok(Names { store: Some(store), instance: instance.to_owned(), held: HashMap::new() })
    }

    /// Serves wishes in their order, until nobody can have any more.
    pub async fn serve(
        mut self,
        mut asked: UnboundedReceiver<Asked>,
        answers: UnboundedSender<(u64, Answer)>,
    ) {
        while let Some(Asked { id, key, wish }) = asked.recv().await {
            if let Some(answer) = self.grant(id, &key, &wish).await {
                // Whoever asked may be gone.
                let _ = answers.send((id, answer));
            }
        }
    }

    async fn grant(&mut self, id: u64, key: &str, wish: &Wish) -> Option<Answer> {
        let Some(store) = &self.store else {
            return match wish {
                Wish::Claim { .. } => Some(Answer::Unkept),
                Wish::LookForDiscard => Some(Answer::Discarded(false)),
                _ => None,
            };
        };
        let (name, note) = (format!("reader.{key}"), format!("discarded.{key}"));
        let value = Bytes::from(format!("{}-{id}", self.instance));
        match wish {
            Wish::Claim { .. } | Wish::Renew => {
                let known = match wish {
                    Wish::Claim { over } => *over,
                    _ => self.held.get(&id).copied(),
                };
                let (answer, revision) = claim(store, &name, value, known.unwrap_or(0)).await;
                match (&answer, revision) {
                    (Answer::Claimed, Some(revision)) => drop(self.held.insert(id, revision)),
                    (Answer::Taken { .. }, _) => drop(self.held.remove(&id)),
                    _ => {}
                }
                Some(answer)
            }
            Wish::Release => {
                if let Some(revision) = self.held.remove(&id) {
                    // It is forgotten in the end if this is lost.
                    let _ = store.delete_expect_revision(&name, Some(revision)).await;
                }
                Some(Answer::Released)
            }
            Wish::LookForDiscard => {
                let found = store.entry(&note).await.ok().flatten();
                let is_there = found.is_some_and(|entry| entry.operation == Operation::Put);
                if is_there {
                    let _ = store.delete(&note).await;
                }
                Some(Answer::Discarded(is_there))
            }
            Wish::NoteDiscard => {
                let _ = store.put(&note, value).await;
                None
            }
            Wish::ForgetDiscard => {
                let _ = store.delete(&note).await;
                None
            }
            Wish::Listen(_) | Wish::Leave => None,
        }
    }
}

/// Writes a name's key, where it was last written at `revision` (0: never).
async fn claim(store: &Store, name: &str, value: Bytes, revision: u64) -> (Answer, Option<u64>) {
    let changed = || (Answer::Unknown("the name's entry changes".to_owned()), None);
    match store.update(name, value.clone(), revision).await {
        Ok(revision) => return (Answer::Claimed, Some(revision)),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
        Err(error) => return (Answer::Unknown(format!("the store of names: {error}")), None),
    }
    match store.entry(name).await {
        Ok(Some(entry)) if entry.operation == Operation::Put && entry.value == value => {
            // It was written, and the answer lost.
            (Answer::Claimed, Some(entry.revision))
        }
        Ok(Some(entry)) if entry.operation == Operation::Put => {
            (Answer::Taken { revision: entry.revision }, None)
        }
        // Given back; or forgotten, which leaves none.
        Ok(found) => match store.update(name, value, found.map_or(0, |entry| entry.revision)).await {
            Ok(revision) => (Answer::Claimed, Some(revision)),
            Err(_) => changed(),
        },
        Err(_) => changed(),
    }
}

/// Why there is no bucket.
fn of_creation(error: &CreateStreamError, bucket: &str) -> Failure {
    let absent = |why: &str| {
        let text = "where the names of pipes are kept: enable it, or set `names = \"best-effort\"`";
        Failure::new(Code::ENOTSUP, format!("the server has no JetStream ({why}), {text}"))
    };
    match error.kind() {
        CreateStreamErrorKind::JetStreamUnavailable => absent("nobody answers"),
        CreateStreamErrorKind::JetStream(error)
            if matches!(
                error.error_code(),
                ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
            ) =>
        {
            absent(&error.to_string())
        }
        CreateStreamErrorKind::TimedOut => silent(bucket),
        _ => unusable(Code::EIO, bucket, &error.to_string()),
    }
}

/// Whether the store said nothing, so that nobody knows whether there is a bucket.
fn is_silence(error: &KeyValueError) -> bool {
    let mut causes = successors(error.source(), |&cause| cause.source());
    causes.any(|cause| {
        let request = cause.downcast_ref::<RequestError>();
        request.is_some_and(|error| error.kind() == RequestErrorKind::TimedOut)
    })
}

fn silent(bucket: &str) -> Failure {
    let why = "JetStream does not answer: see the server's log, or set `names = \"best-effort\"`";
    unusable(Code::ETIMEDOUT, bucket, why)
}

fn unusable(code: Code, bucket: &str, why: &str) -> Failure {
    Failure::later(code, format!("the bucket `{bucket}`, where the names of pipes are kept: {why}"))
}

/// A name as a token of a subject, and as a key: letters, digits, `-` and `_` stand for themselves, all else is `=` and two
/// hexadecimal digits for each byte.
pub fn token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => token.push(byte.into()),
            _ => token.push_str(&format!("={byte:02X}")),
        }
    }
    token
}

/// Whether a text may be the first part of subjects and of a bucket's name.
pub fn is_prefix(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether an answer may go there: to an inbox of some instance, and to nothing else of the server's.
pub fn is_inbox(prefix: &str, subject: &Subject) -> bool {
    let rest = subject.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(".end."));
    rest.is_some_and(|rest| {
        rest.len() <= 64 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_token_of_its_own() {
        for (name, expected) in
            [("a-b_1", "a-b_1"), ("j/1>2", "j=2F1=3E2"), ("a.b *", "a=2Eb=20=2A"), ("ä=", "=C3=A4=3D")]
        {
            assert_eq!(token(name), expected);
        }
    }

    #[test]
    fn answers_go_to_inboxes_only() {
        for (subject, expected) in [
            ("zvfs.end.0123.4-0", true),
            ("zvfs.end.*.4-0", false),
            ("zvfs.end.a.>", false),
            ("zvfs.pipe.a.reader", false),
            ("$SYS.REQ.SERVER.PING", false),
            ("other.end.0123.4-0", false),
        ] {
            assert_eq!(is_inbox("zvfs", &Subject::from(subject)), expected, "{subject}");
        }
    }
}
