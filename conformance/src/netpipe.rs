//! The netpipe suite: what holds between two hosts that open the two ends of a pipe, whatever carries the bytes. It is
//! written against [`Registry`](vfs_core::Registry) and descriptors only, so every back-end is held to the same rules.
//!
//! A back-end's own test:
//!
//! ```no_run
//! # fn a_new_host() -> vfs_core::Registry { unimplemented!() }
//! use zvfs_conformance::netpipe::{Pair, Subject, run};
//!
//! let subject = Subject::new(
//!     || Ok(a_new_host()),
//!     |name, writers| {
//!         let reader = format!("netpipe:{name}:r?writers={writers}");
//!         Ok(Pair { reader, writer: format!("netpipe:{name}:w") })
//!     },
//! );
//! run(subject); // one line for each check; panics with the list of those that failed
//! ```
//!
//! What needs a process that dies, a cut cable or a hostile peer is not here: it takes knowledge of the back-end.
//!
//! | Module | What it is |
//! |---|---|
//! | `subject` | what the suite must be told of a back-end |
//! | `case` | one check's two hosts; calls that wait on a thread of their own |
//! | `bytes` | content that tells where it belongs; reading and writing of whole stretches |
//! | all others | the checks, a file for each theme |

mod broken;
mod buffer;
mod bytes;
mod case;
mod closed;
mod deadline;
mod deadlock;
mod end;
mod open;
mod reuse;
mod scale;
mod several;
mod subject;
mod wait;
mod zerovm;
mod zpipes;

use crate::check::{Check, checks};
use crate::suite::{Verdict, run_all, run_within};
use std::sync::Arc;

pub use subject::{Pair, Subject, Writers};

checks! { Subject:
    open {
        open_returns_at_once = "either side, though the other is not there";
        either_side_may_be_first = "and the bytes go through, with their end";
        both_ends_may_be_in_one_host = "a session that reads what it wrote";
        ends_claim_their_direction = "READABLE or WRITABLE, with CANCEL, and no positions";
        the_descriptor_says_the_direction = "neither READ nor WRITE opens what it says";
        wrong_direction_is_ebadf = "at open against the descriptor, and at the call against the file";
        zero_sized_calls_return_zero = "at once, whoever is there";
    }
    wait {
        write_waits_for_a_reader_to_open = "and not for it to read";
        write_without_reader_times_out = "ETIMEDOUT at the deadline; repeated, it goes through, once";
        write_without_reader_is_cancelled = "ECANCELED within 10 s (the rule is 100 ms)";
        write_into_a_full_pipe_is_cancelled = "ECANCELED within 10 s";
        read_waits_for_data = "and for the end, and ends with either";
        read_without_data_times_out = "ETIMEDOUT without a writer and with an idle one; repeated, it reads";
        read_without_data_is_cancelled = "ECANCELED within 10 s";
        partial_arrival_keeps_the_deadline = "a byte that arrives does not disarm it";
        commit_is_ended_by_deadline_and_cancel = "while it waits for a reader, and for it to read";
        writer_may_open_while_the_reader_is_blocked = "a blocked read gets what it brings";
        idle_ends_do_not_expire = "a blocked read outlives a silence";
    }
    end {
        end_is_zero_and_stays = "after the data, at each read";
        end_before_any_reader_returns_and_is_delivered = "at once; COMMIT waits; the reader that comes sees the end";
        end_and_push_never_wait = "into a full pipe whose reader stands still";
        data_arrives_after_end_and_close = "the writer need not stay";
        stopping_delivers_what_was_ended = "a host that goes, with its instance, after END";
        commit_waits_for_a_reader = "that opens, if there is nothing to take";
        commit_waits_until_all_is_taken = "not until it is buffered";
        commit_is_done_with_the_last_byte = "for a reader that closes when it has all";
        commit_needs_no_read_of_the_end = "for a reader that stays and has taken all";
        sync_waits_until_all_is_taken = "and the pipe goes on after it";
    }
    broken {
        discard_before_the_reader_is_remembered = "the reader that comes gets ECONNRESET, at each read";
        discard_is_never_an_end = "the data, then ECONNRESET, at each read";
        close_without_end_is_never_an_end = "the data, then ECONNRESET, at each read";
        a_cancelled_writer_can_discard = "as a session does that ran out of time";
        breaking_ends_a_blocked_read = "with ECONNRESET, in bounded time";
        a_broken_writer_breaks_the_others = "ECONNRESET for the reader and for the other writers";
    }
    closed {
        reader_close_ends_a_blocked_write = "EPIPE";
        reader_close_fails_the_next_write = "EPIPE, and so the COMMIT after it";
        reader_close_fails_commit_and_sync = "those in progress, if not all was taken";
        reader_that_takes_less_ends_the_writer = "EPIPE in bounded time, never a hang";
    }
    several {
        a_second_writer_is_ebusy = "at its first write or COMMIT, not at open; the first goes on";
        a_second_reader_is_ebusy = "at its first read, not at open; the first goes on";
        the_end_counts_after_as_many_ends_as_writers = "one after the other, and no sooner";
        several_writers_may_come_before_the_reader = "and all of them join";
        one_writer_more_than_expected_is_ebusy = "and the others go on";
        any_number_of_writers_ends_at_zero = "when the last one ENDs";
        writes_arrive_whole = "up to 64 KiB, among several writers, never short";
        order_is_kept_per_writer = "small and large writes";
    }
    reuse {
        a_name_may_be_used_again = "by a new pair, after the end";
        a_late_writer_waits_for_the_next_reader = "the old one stays at its end";
        a_name_may_be_used_again_after_a_break = "by a new pair, when the old is closed";
    }
    buffer {
        at_least_64_kib_are_buffered = "a write of that size waits for no read";
        buffering_is_bounded = "a fast writer waits for a reader that stands still";
        a_timed_out_write_moved_nothing = "what was reported is what arrives";
    }
    zpipes {
        reads_cut_what_was_written = "12 bytes as 1, 2, 3, 3, then 100 gives 3, then the end";
        reads_join_what_was_written = "3 times 6 bytes as 1, 10, then 50 gives 7, then the end";
        a_read_of_1000_gets_what_there_is = "pending when the writer ends: a short read, then the end";
        a_new_writer_leaves_the_old_reader_alone = "it keeps the old writer's data and its end";
        close_with_a_call_pending = "the call fails, the close succeeds, the other side is told";
    }
    deadlock {
        both_sides_may_write_first = "64 KiB each way before either reads";
        request_and_response_a_thousand_times = "over two pipes, with flushes";
        a_ring_of_three_ends = "records and the end go round";
        a_mesh_of_16_by_16_ends = "each mapper to each reducer, small records";
    }
    zerovm {
        two_hops_with_a_slow_last_node = "random bytes in random chunks arrive equal";
        bunch_in = "2, 3 and 9 writers to one reader";
        bunch_out = "one writer to three readers";
        a_pipe_is_passed_on_by_copy = "from pipe to pipe, in a host between";
    }
    scale {
        many_pipes_need_few_threads = "200 pipes, each with a byte gone through";
    }
}

/// Runs one check. A panic and a call that does not end in bounded time are failures; after the latter a thread stays
/// behind.
pub fn run_check(check: &Check<Subject>, subject: &Arc<Subject>) -> Verdict {
    run_within(check, subject, subject.limit())
}

/// Runs every check and prints a line for each.
///
/// # Panics
/// One failed; or none passed, which proves nothing.
pub fn run(subject: Subject) {
    let limit = subject.limit();
    run_all(CHECKS, subject, limit);
}
