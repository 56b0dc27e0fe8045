//! Several writers of one pipe, at once.

use crate::wait::{LIMIT, bounded, in_thread};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What a writer writes at a time.
const RECORD: usize = 1000;

/// Has each of `writers` open its end, write so many records, and more until all of them were read from, and `end` it. Checks that
/// each write arrives whole, and that none is left out: the others would write for ever.
///
/// # Panics
/// That is not so.
#[track_caller]
pub fn read_by_turns<W: Write, O: FnOnce() -> W + Send + 'static>(
    mut reader: impl Read + Send + 'static,
    writers: impl IntoIterator<Item = O>,
    records: usize,
    end: impl Fn(W) + Clone + Send + 'static,
) {
    let writers: Vec<O> = writers.into_iter().collect();
    let (seen, all) = (Arc::new(AtomicU64::new(0)), (1 << writers.len()) - 1);
    let mut writing = Vec::new();
    for (number, open) in writers.into_iter().enumerate() {
        let (seen, end) = (seen.clone(), end.clone());
        writing.push(in_thread(move || {
            let (mut writer, until) = (open(), Instant::now() + LIMIT);
            let mut written = 0;
            while written < records || seen.load(Ordering::SeqCst) != all {
                assert!(
                    Instant::now() < until,
                    "only these were read from: {:b}",
                    seen.load(Ordering::SeqCst)
                );
                writer.write_all(&[number as u8; RECORD]).unwrap();
                written += 1;
            }
            end(writer);
            written
        }));
    }
    let read = bounded(move || {
        let (mut bytes, mut read) = (vec![0; 64 * RECORD], 0);
        let mut whose = 0;
        loop {
            let count = reader.read(&mut bytes).unwrap();
            if count == 0 {
                return read;
            }
            for byte in &bytes[..count] {
                if read % RECORD == 0 {
                    whose = *byte;
                    seen.fetch_or(1 << whose, Ordering::SeqCst);
                }
                assert_eq!(*byte, whose, "a record is cut");
                read += 1;
            }
        }
    });
    let written: usize = writing.into_iter().map(|written| written.recv_timeout(LIMIT).unwrap()).sum();
    assert_eq!(read, written * RECORD);
}
