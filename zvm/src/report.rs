//! What a session tells at its end: ZeroVM's six lines, or JSON.

use crate::channel::{Counts, Meter, OutputReport, OutputState, Quota};
use crate::exit::{ExitCode, Failure, Stopped};
use crate::manifest::DigestAlgorithm;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use vfs_core::{Code, Shown, printable_json};

/// The report of one session. Its fields are JSON's too: docs/report.md.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The manifest's name, where the host gives it one: `zvfs run` its path as written.
    pub manifest: Option<String>,
    /// How the host fared; a guest's own code does not show here.
    pub exit_code: ExitCode,
    /// `ok`, or what happened, in one line.
    pub state: String,
    /// Linux's number of the error that ended the session; `None`: it ended well, or for another reason.
    pub errno: Option<i32>,
    /// What the guest exited with; `None`: it did not come to that.
    pub guest_code: Option<u32>,
    /// CPU time of the session's thread.
    pub cpu: CpuTime,
    /// Fuel that the guest used: exact if it ran to its end, else at most this; `None`: not counted.
    pub fuel: Option<u64>,
    /// Whether the same manifest and inputs may give another result: real time, real entropy, a run ended by Timeout.
    pub nondeterministic: bool,
    /// How the channels' digests were made; `None`: the manifest asks for none.
    pub digest: Option<DigestAlgorithm>,
    /// All channels whose sources stay on this machine: the schemes `file`, `mem` and `null`.
    pub local: Counts,
    /// All other channels.
    pub network: Counts,
    /// Each channel, in the order of their handles.
    pub channels: Vec<ChannelReport>,
    /// What is worth telling of a good run too: readers that closed early, a manifest's warnings.
    pub notes: Vec<String>,
    /// What stopped the guest; `None`: nothing did, or something else failed.
    #[serde(skip)]
    pub stopped: Option<Stopped>,
    /// The run's name, as providers are offered it; `None`: it has none.
    #[serde(skip)]
    pub job: Option<String>,
    /// By the clock, from the session's start to this report.
    #[serde(skip)]
    pub elapsed: Duration,
    /// Whether the session's thread did not end in time and was left behind, as a note says. It may hold what exit(3) needs: a
    /// process that has nothing left to do leaves by _exit(2).
    #[serde(skip)]
    pub left_behind: bool,
}

/// CPU time of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CpuTime {
    /// In the kernel, in seconds.
    #[serde(rename = "system_seconds", serialize_with = "seconds")]
    pub system: Duration,
    /// Elsewhere, in seconds.
    #[serde(rename = "user_seconds", serialize_with = "seconds")]
    pub user: Duration,
}

impl CpuTime {
    /// What was used since a thread had used so much.
    pub(crate) fn since(self, before: CpuTime) -> CpuTime {
        CpuTime {
            system: self.system.saturating_sub(before.system),
            user: self.user.saturating_sub(before.user),
        }
    }
}

/// One channel's part of a report. It names no source: a descriptor may hold what a report should not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChannelReport {
    /// The channel's alias.
    #[serde(serialize_with = "text")]
    pub alias: Arc<str>,
    /// Whether a source leaves the machine.
    pub network: bool,
    /// What was moved.
    #[serde(flatten)]
    pub counts: Counts,
    /// The digest of all bytes that the guest read and wrote, in this order, in hexadecimal digits; `None`: the manifest asks
    /// for none, or the session was left behind.
    pub digest: Option<String>,
    /// The quotas that a call of the guest was refused by.
    pub exhausted: Vec<Quota>,
    /// What became of each target, in the manifest's order; none: it is only read.
    pub outputs: Vec<OutputReport>,
}

impl Report {
    /// Reports a session that ran to its own end, with what its channels moved until now.
    pub fn ended(guest_code: u32, meters: &[Meter]) -> Report {
        Report { guest_code: Some(guest_code), ..Report::new(ExitCode::Ok, "ok", meters) }
    }

    /// Reports a session that failed; without channels if it did not come to open them.
    pub fn failed(failure: &Failure, meters: &[Meter]) -> Report {
        let errno = failure.code().map(Code::raw);
        Report { stopped: failure.stopped_by(), errno, ..Report::new(failure.exit(), failure.text(), meters) }
    }

    fn new(exit_code: ExitCode, state: &str, meters: &[Meter]) -> Report {
        let channels: Vec<ChannelReport> = meters
            .iter()
            .map(|meter| ChannelReport {
                alias: meter.alias.clone(),
                network: meter.network,
                counts: meter.counts(),
                digest: None,
                exhausted: meter.exhausted(),
                outputs: meter.outputs(),
            })
            .collect();
        Report {
            manifest: None,
            exit_code,
            state: state.replace(['\n', '\r'], " "),
            errno: None,
            guest_code: None,
            cpu: CpuTime::default(),
            fuel: None,
            nondeterministic: false,
            digest: None,
            local: sum(&channels, false),
            network: sum(&channels, true),
            channels,
            notes: Vec::new(),
            stopped: None,
            job: None,
            elapsed: Duration::ZERO,
            left_behind: false,
        }
    }

    /// What a person should know of outputs that are not there as a whole, and of quotas that may be why the guest failed.
    pub(crate) fn notes_of_outputs(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for channel in &self.channels {
            // A guest that ends well may have passed over that something of an output is missing.
            let is_told = |quota: &&Quota| self.guest_code != Some(0) || quota.is_of_writing();
            let quotas = channel.exhausted.iter().filter(is_told);
            let alias = Shown(&channel.alias);
            notes.extend(quotas.map(|quota| format!("{alias}: the guest reached its quota: {quota}")));
        }
        for channel in &self.channels {
            for output in &channel.outputs {
                let what = match output.state {
                    OutputState::Discarded if output.stays => {
                        "is unchanged, or not made: what was written is discarded"
                    }
                    OutputState::Partial if output.stays => "is incomplete",
                    OutputState::Unknown => "may be incomplete",
                    _ => continue,
                };
                notes.push(format!("{}: {} {what}", Shown(&channel.alias), output.shown));
            }
        }
        notes
    }

    /// The report as one JSON object, in one line.
    pub fn to_json(&self) -> String {
        // It fails for maps with keys that are no text, and for writers that fail: there is neither.
        printable_json(&serde_json::to_string(self).unwrap_or_default())
    }

    /// The report as one line for a log: what a host wants to know of every session. Its form is in docs/report.md.
    pub fn to_line(&self) -> String {
        let quoted = |text: &str| printable_json(&serde_json::to_string(text).unwrap_or_default());
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        format!(
            "session={} exit={} guest={} seconds={:.6} cpu={:.2} fuel={} in={} out={} state={}",
            self.job.as_deref().map_or_else(|| "-".to_owned(), quoted),
            self.exit_code,
            number(self.guest_code.map(u64::from)),
            self.elapsed.as_secs_f64(),
            (self.cpu.system + self.cpu.user).as_secs_f64(),
            number(self.fuel),
            self.local.get_bytes + self.network.get_bytes,
            self.local.put_bytes + self.network.put_bytes,
            quoted(&self.state),
        )
    }
}

impl ChannelReport {
    /// The digest, or that what it is of is not there.
    fn told_digest(&self) -> Option<&str> {
        let digest = self.digest.as_deref()?;
        let gone = self.outputs.iter().any(|output| output.state == OutputState::Discarded);
        Some(if gone { "discarded" } else { digest })
    }
}

fn sum(channels: &[ChannelReport], network: bool) -> Counts {
    let mut sum = Counts::default();
    for channel in channels.iter().filter(|channel| channel.network == network) {
        sum += channel.counts;
    }
    sum
}

fn text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// ZeroVM's report: validator state (1: the program was refused), daemon (there is none: 0), the guest's code (0 if it gave
/// none), digests (each alias with its own, `discarded` where what was written is not there, or `disabled`), CPU times and counters (system and user seconds; gets, bytes, puts, bytes; local, then network), state. A
/// blank line follows.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", u8::from(self.exit_code == ExitCode::BadProgram))?;
        writeln!(f, "0")?;
        writeln!(f, "{}", self.guest_code.unwrap_or(0))?;
        match self.digest {
            None => writeln!(f, "disabled")?,
            Some(_) => {
                let digests: Vec<String> = self
                    .channels
                    .iter()
                    .filter_map(|channel| Some(format!("{} {}", channel.alias, channel.told_digest()?)))
                    .collect();
                writeln!(f, "{}", digests.join(" "))?;
            }
        }
        write!(f, "{:.2} {:.2}", self.cpu.system.as_secs_f64(), self.cpu.user.as_secs_f64())?;
        for counts in [self.local, self.network] {
            write!(f, " {} {} {} {}", counts.gets, counts.get_bytes, counts.puts, counts.put_bytes)?;
        }
        writeln!(f)?;
        writeln!(f, "{}", self.state)?;
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(alias: &str, network: bool, gets: u64) -> ChannelReport {
        let counts = Counts { gets, get_bytes: 10 * gets, puts: 1, put_bytes: 2 };
        ChannelReport {
            alias: alias.into(),
            network,
            counts,
            digest: None,
            exhausted: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn report() -> Report {
        let channels = vec![channel("/a", false, 1), channel("/b", true, 5), channel("/c", false, 2)];
        let (local, network) = (sum(&channels, false), sum(&channels, true));
        let cpu = CpuTime { system: Duration::from_millis(15), user: Duration::from_millis(1500) };
        Report { channels, local, network, cpu, ..Report::ended(3, &[]) }
    }

    #[test]
    fn text_has_six_lines_and_a_blank_one() {
        assert_eq!(report().to_string(), "0\n0\n3\ndisabled\n0.01 1.50 3 30 2 4 5 50 1 2\nok\n\n");
    }

    #[test]
    fn digests_stand_in_the_fourth_line() {
        let mut report = report();
        report.digest = Some(DigestAlgorithm::Blake3);
        report.channels[0].digest = Some("00ff".into());
        report.channels[2].digest = Some("11".into());
        assert_eq!(report.to_string().lines().nth(3), Some("/a 00ff /c 11"));
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!((&json["digest"], &json["channels"][0]["digest"]), (&"blake3".into(), &"00ff".into()));
    }

    #[test]
    fn a_failure_stands_in_one_line() {
        let failure = Failure::new(ExitCode::BadProgram, "not a module:\nbad magic");
        let text = Report::failed(&failure, &[]).to_string();
        assert_eq!(text, "1\n0\n0\ndisabled\n0.00 0.00 0 0 0 0 0 0 0 0\nnot a module: bad magic\n\n");
    }

    #[test]
    fn what_ended_it_is_told_as_a_number_too() {
        let failure = Failure::new(ExitCode::Io, "export /out: write x: no space left").of(Code::ENOSPC);
        let json = Report::failed(&failure, &[]).to_json();
        assert!(json.contains("\"errno\":28,"), "{json}");
    }

    #[test]
    fn a_line_says_who_how_and_how_much() {
        let cpu = CpuTime { system: Duration::from_millis(10), user: Duration::from_millis(1500) };
        let mut report = Report { fuel: Some(77), elapsed: Duration::from_micros(1_230), cpu, ..report() };
        let numbers = "exit=0 guest=3 seconds=0.001230 cpu=1.51 fuel=77 in=80 out=6 state=\"ok\"";
        assert_eq!(report.to_line(), format!("session=- {numbers}"));
        report.job = Some("a \"b\"\n\u{1b}".into());
        assert_eq!(report.to_line(), format!(r#"session="a \"b\"\n\u001b" {numbers}"#));
        let failed = Report::failed(&Failure::stopped(Stopped::Fuel, Some("all is used up")), &[]);
        assert_eq!(failed.stopped, Some(Stopped::Fuel));
        assert!(
            failed.to_line().ends_with(r#" fuel=- in=0 out=0 state="fuel: all is used up""#),
            "{failed:?}"
        );
    }

    #[test]
    fn json_holds_everything() {
        let json: serde_json::Value = serde_json::from_str(&report().to_json()).unwrap();
        assert!(json["manifest"].is_null());
        assert_eq!(json["exit_code"], 0);
        assert_eq!(json["guest_code"], 3);
        assert_eq!((&json["state"], json["errno"].is_null()), (&"ok".into(), true));
        assert_eq!(json["cpu"]["user_seconds"], 1.5);
        assert_eq!(json["network"]["get_bytes"], 50);
        assert_eq!(json["channels"][1]["alias"], "/b");
        assert_eq!(json["channels"][1]["gets"], 5);
        assert_eq!(json["nondeterministic"], false);
        assert!(json["fuel"].is_null());
    }
}
