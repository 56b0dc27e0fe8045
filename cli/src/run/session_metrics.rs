//! Reports as metrics.

use crate::metrics::Metrics;
use zvm::{ChannelReport, Report};

type Sample<V> = (Vec<(&'static str, String)>, V);

/// All sessions of a run, as OpenMetrics text. A session is told by its manifest's place in the command line, and name: one may be there
/// twice.
pub(super) fn text(reports: &[Report]) -> String {
    let mut metrics = Metrics::default();
    let reports: Vec<(Vec<(&'static str, String)>, &Report)> = reports
        .iter()
        .enumerate()
        .map(|(at, report)| {
            let name = report.manifest.clone().unwrap_or_default();
            (vec![("session", (at + 1).to_string()), ("manifest", name)], report)
        })
        .collect();
    let each = |value: &dyn Fn(&Report) -> Option<f64>| -> Vec<Sample<f64>> {
        reports.iter().filter_map(|(labels, report)| Some((labels.clone(), value(report)?))).collect()
    };
    let with = |labels: &[(&'static str, String)], more: &[(&'static str, &str)]| {
        let more = more.iter().map(|(label, text)| (*label, (*text).to_owned()));
        labels.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    let code = each(&|report| Some(f64::from(report.exit_code.number())));
    metrics.family("zvfs_session_exit_code", "", "How the session fared, 0 is well: docs/report.md.", code);
    let code = each(&|report| report.guest_code.map(f64::from));
    metrics.family("zvfs_session_guest_code", "", "What the guest exited with.", code);
    let elapsed = each(&|report| Some(report.elapsed.as_secs_f64()));
    metrics.family(
        "zvfs_session_elapsed",
        "seconds",
        "From the session's start to its end, by the clock.",
        elapsed,
    );
    let fuel = each(&|report| report.fuel.map(|fuel| fuel as f64));
    metrics.family("zvfs_session_fuel", "", "How much the guest computed.", fuel);
    let cpu = reports.iter().flat_map(|(labels, report)| {
        let mode = |mode, time: std::time::Duration| (with(labels, &[("mode", mode)]), time.as_secs_f64());
        [mode("user", report.cpu.user), mode("system", report.cpu.system)]
    });
    metrics.family("zvfs_session_cpu", "seconds", "CPU time of the session's thread.", cpu);
    let of_channels = |get: fn(&ChannelReport) -> u64, put: fn(&ChannelReport) -> u64| -> Vec<Sample<u64>> {
        let all = reports.iter().flat_map(|(labels, report)| {
            report.channels.iter().flat_map(move |channel| {
                let way = |way| with(labels, &[("channel", &channel.alias), ("way", way)]);
                [(way("get"), get(channel)), (way("put"), put(channel))]
            })
        });
        all.collect()
    };
    let calls = of_channels(|channel| channel.counts.gets, |channel| channel.counts.puts);
    metrics.family("zvfs_channel_calls", "", "Reads and writes of the guest.", calls);
    let bytes = of_channels(|channel| channel.counts.get_bytes, |channel| channel.counts.put_bytes);
    metrics.family("zvfs_channel", "bytes", "What the guest read and wrote.", bytes);
    metrics.text()
}
