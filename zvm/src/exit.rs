//! How a session ends: the one table of exit codes, and the failure that carries one with its text.

use serde::Serialize;
use std::any::Any;
use std::fmt;
use vfs_core::{Code, is_printable};

/// How much of the engine's words about a program is told, in characters.
const TEXT_MAX: usize = 400;

/// The exit code of a session: ZeroVM's numbers, which are errno's where errno has a fitting one.
///
/// It tells of the host only. A guest's own exit code, whatever it is, goes with [`ExitCode::Ok`] into the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ExitCode {
    /// The guest ran to its own end.
    Ok = 0,
    /// No such program, or no such manifest.
    Missing = 2,
    /// The guest was stopped: a trap, a stack overflow, no fuel left, the Timeout, a cancel.
    Stopped = 4,
    /// A channel failed, a provider misbehaved, or the host panicked.
    Io = 5,
    /// The program is not a WebAssembly module that this sandbox can run.
    BadProgram = 8,
    /// The manifest's Memory is out of range or too small for the program, or the host has no more.
    Memory = 12,
    /// A defect in the manifest, or a channel that cannot be opened as it says.
    Manifest = 14,
    /// A channel that can be neither read nor written.
    NilChannel = 22,
    /// More channels than a session can hold.
    TooManyChannels = 23,
    /// What was read does not match its digest.
    Digest = 32,
    /// A channel's source is a directory, a socket or a block device.
    SourceKind = 93,
    /// The guest came to its own end, and what it wrote is not committed: its code is not 0 and the manifest says `Commit = success`, or
    /// a quota cut what was to appear as a whole, or a netpipe.
    NotCommitted = 125,
}

impl ExitCode {
    /// The number for the shell.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

impl Serialize for ExitCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

/// What stopped a guest that did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// The manifest's Timeout, or the deadline of the session's control.
    Timeout,
    /// The session's host.
    Cancelled,
    /// It used up the manifest's Fuel.
    Fuel,
    /// An instruction of its own.
    Trap,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::Timeout => "timeout",
            Stopped::Cancelled => "cancelled",
            Stopped::Fuel => "fuel",
            Stopped::Trap => "trap",
        })
    }
}

/// Why a session failed: the exit code and one line for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    exit: ExitCode,
    text: String,
    stopped: Option<Stopped>,
    code: Option<Code>,
}

impl Failure {
    /// Makes a failure; `text` becomes the report's state.
    pub fn new(exit: ExitCode, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into(), stopped: None, code: None }
    }

    /// Says which error it comes of.
    pub(crate) fn of(self, code: Code) -> Failure {
        Failure { code: Some(code), ..self }
    }

    /// The error that it comes of; `None`: none of a provider or of the system.
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// A session that was stopped: by what, and what is known of it.
    pub(crate) fn stopped(by: Stopped, known: Option<&str>) -> Failure {
        let text = known.map_or_else(|| by.to_string(), |known| format!("{by}: {known}"));
        Failure { stopped: Some(by), ..Failure::new(ExitCode::Stopped, text) }
    }

    /// A session that was stopped at its Timeout.
    pub(crate) fn timeout(known: Option<&str>) -> Failure {
        Failure::stopped(Stopped::Timeout, known)
    }

    /// Whether it is that of a session that was stopped at its Timeout.
    pub(crate) fn is_timeout(&self) -> bool {
        self.stopped == Some(Stopped::Timeout)
    }

    /// What stopped the guest; `None`: something else failed.
    pub fn stopped_by(&self) -> Option<Stopped> {
        self.stopped
    }

    /// Adds what may explain it.
    pub(crate) fn noting(self, notes: &[impl fmt::Display]) -> Failure {
        let text = notes.iter().fold(self.text, |text, note| format!("{text}; {note}"));
        Failure { text, ..self }
    }

    /// The exit code.
    pub fn exit(&self) -> ExitCode {
        self.exit
    }

    /// The line for a person.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The text of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no text",
    }
}

/// One line of bounded length: a parser's error quotes the program, which may be one long line of anything.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line: String = words.chars().take(TEXT_MAX).flat_map(shown).collect();
    if words.chars().nth(TEXT_MAX).is_some() {
        line.push_str("...");
    }
    line
}

/// A character for a terminal and a log: control characters escaped.
fn shown(character: char) -> impl Iterator<Item = char> {
    let control = !is_printable(character);
    let escaped = character.escape_unicode().filter(move |_| control);
    escaped.chain(Some(character).filter(move |_| !control))
}
