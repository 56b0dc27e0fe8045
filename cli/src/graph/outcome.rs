//! What the reports of a run add to its picture.

use super::job::{ChannelEnd, Ended, Job, Node};
use crate::exit::Failure;
use crate::text;
use serde_json::Value;
use std::fs;
use std::path::Path;
use vfs_core::{Code, Error};

/// Adds a file of JSON reports, one a line, to the guests whose manifests they name.
///
/// # Errors
/// It cannot be read, or a line is no report of these manifests.
pub fn add(job: &mut Job, path: &Path) -> Result<(), Failure> {
    let shown = format!("read the report {}", path.display());
    let reports =
        fs::read_to_string(path).map_err(|error| Failure::from(Error::from(error).context(shown.clone())))?;
    for (number, line) in reports.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |why: &str| {
            let line = number + 1;
            Failure::new(Code::EINVAL, format!("{shown}: line {line}: {why}"))
        };
        let report: Value = serde_json::from_str(line)
            .map_err(|_| bad("not JSON: write it with `zvfs run --report json --report-file FILE`"))?;
        let (Some(manifest), Some(state)) = (report["manifest"].as_str(), report["state"].as_str()) else {
            return Err(bad("not the report of a manifest: it lacks `manifest` or `state`"));
        };
        let named = |guest: &super::job::Guest| guest.manifest.as_os_str() == manifest;
        let Some(at) = job.guests.iter().position(named) else {
            return Err(bad(&format!(
                "it is of {}, which is not among the manifests: name them as for the run",
                text::printable(manifest)
            )));
        };
        add_one(job, at, &report, state);
    }
    Ok(())
}

fn add_one(job: &mut Job, at: usize, report: &Value, state: &str) {
    let waited = state.strip_prefix("timeout: channel ").and_then(|rest| Some(rest.split_once(": ")?.0));
    let no_channels = Vec::new();
    let channels = report["channels"].as_array().unwrap_or(&no_channels);
    let moved = |end: &mut ChannelEnd, counter: &str| {
        end.waited = waited == Some(end.alias.as_str());
        let channel = channels.iter().find(|channel| channel["alias"] == end.alias.as_str());
        end.moved = channel.and_then(|channel| channel[counter].as_u64());
    };
    for edge in &mut job.edges {
        let (from, to) = (edge.from, edge.to);
        let [writes, reads] = &mut edge.ends;
        if let (Node::Guest(guest), Some(end)) = (from, writes)
            && guest == at
        {
            moved(end, "put_bytes");
        }
        if let (Node::Guest(guest), Some(end)) = (to, reads)
            && guest == at
        {
            moved(end, "get_bytes");
        }
    }
    let well = report["exit_code"] == 0 && report["guest_code"] == 0;
    let state = match report["guest_code"].as_u64() {
        Some(code) if state == "ok" && code != 0 => format!("exited with code {code}"),
        _ => text::printable(state),
    };
    job.guests[at].ended = Some(Ended { state, well });
}
