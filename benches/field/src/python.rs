//! The same reads in Python: the package `zvfs` against fsspec's file systems.

use crate::{MIB, Place, ROUNDS, expect, skips, text};
use std::path::Path;
use std::process::Command;
use zvfs_benches::python::{cost, script};
use zvfs_benches::{heading, pair_of_processes};

/// `name` and `options`: what fsspec knows the file by.
pub fn reads(place: &Place, name: &str, library: &str, options: &str) {
    let configuration = place.host.configuration();
    heading(&format!("{}, reads in Python, each", place.title), "the package zvfs", library);
    for (row, how, piece, count) in [
        ("1 MiB in order", "in-order", MIB, place.size / MIB),
        ("4 KiB in no order", "in-no-order", 4096, place.pieces),
    ] {
        let numbers = [place.size, piece, count].map(|number| number.to_string());
        let run = |library: &str, name: &str, options: &str| -> Command {
            let mut command = script(include_str!("reads.py"));
            command.args([library, how, name]).args(&numbers).arg(options);
            command.env("ZVFS_PREFIX", place.host.prefix());
            let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/src");
            command.env("PYTHONPATH", text(&package));
            command
        };
        let (mut ours, mut peer) =
            (run("zvfs", &place.descriptor, configuration), run("fsspec", name, options));
        if let Err(reason) = cost(&mut peer) {
            skips::skip(&format!("{}, reads in Python: {library}", place.title), reason);
            return;
        }
        pair_of_processes(row, count, ROUNDS, || expect(cost(&mut ours)), || expect(cost(&mut peer)));
    }
}
