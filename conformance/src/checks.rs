//! The checks, in the order in which they run: a checklist of what a provider has to do.

mod cancel;
mod create;
mod finish;
mod info;
mod lease;
mod life;
mod namespace;
mod open;
mod poll;
mod position;
mod positional;
mod read;
mod sequences;
mod status;
mod times;
mod write;

use crate::check::checks;
use crate::subject::Subject;

checks! { Subject:
    info {
        info_is_well_formed = "names, schemes, settings and flags follow the header";
        info_is_the_same_at_each_call = "what a provider says of itself does not change";
        instances_start_and_stop = "several instances, one after the other and at once";
    }
    open {
        claims_something = "a file opened in a direction claims it, and no other; every supported direction is exercised";
        capabilities_are_constant = "no call changes what a file can do";
        no_direction_lets_the_descriptor_decide = "neither READ nor WRITE opens what the descriptor is";
        unknown_hints_are_ignored = "bits 32 to 63 of the open flags change nothing";
        wrong_direction_is_ebadf = "reading what is open for writing only, and the other way round";
        unclaimed_calls_are_refused = "ESPIPE or ENOTSUP where a capability is absent";
    }
    read {
        read_returns_the_content = "all of it, in order, from 0 bytes to 1 MiB";
        read_takes_any_size = "chunks of 1, 7, 4095, 4096, 4097 bytes and more give the same content";
        read_end_is_zero_and_stays = "0 at the end, again at each further call";
        read_stays_inside_the_buffer = "guard pages on both sides untouched, bytes past the count unchanged";
        readers_do_not_share_a_position = "two files on one descriptor read independently";
    }
    write {
        write_is_read_back = "what was written and committed is there, from 0 bytes to 1 MiB";
        write_takes_any_size = "chunks of 1, 7, 4095, 4096, 4097 bytes and more arrive the same";
        write_leaves_its_buffer_alone = "read-only memory between guard pages is a fine source";
        append_writes_at_the_end = "APPEND keeps what is there, wherever the position was";
        append_follows_other_writers = "APPEND writes at the end of that moment";
        preallocate_changes_no_content = "PREALLOCATE reserves; size and content are what was written";
        preallocate_refuses_what_cannot_be = "2^62 bytes are ENOSPC or EFBIG, at open";
    }
    create {
        absent_names_are_enoent = "without CREATE, for reading and writing";
        create_makes_an_empty_one = "CREATE, and nothing written";
        create_keeps_what_is_there = "CREATE alone does not empty it";
        exclusive_refuses_what_is_there = "EEXIST, and the content stays; an absent name is made";
        truncate_flag_empties = "TRUNCATE starts from nothing";
    }
    position {
        seek_goes_where_it_says = "SET, CUR and END; tell agrees and reading goes on from there";
        seek_before_the_start_is_einval = "and the position stays";
        seek_to_extremes_is_no_panic = "offsets near 2^63 give a position or an error";
        read_beyond_the_end_is_zero = "seeking past the end is allowed, and reading there is the end";
        position_is_shared_by_read_and_write = "one position moves with both";
        write_beyond_the_end_fills_zeros = "the gap reads as zeros";
        truncate_shortens_and_fills_zeros = "and leaves the position where it was";
        extremes_of_size_are_errors = "a size or a write near 2^63 is refused, and harms nothing";
    }
    positional {
        read_at_reads_at_its_offset = "and past the end 0; bytes past the count unchanged";
        read_at_leaves_the_position = "read goes on where it was";
        read_at_may_overlap = "many threads on one file each get their own bytes";
        write_at_writes_at_its_offset = "fills a gap with zeros and leaves the position";
        write_at_may_overlap = "many threads on one file each write their own bytes";
    }
    status {
        stat_knows_the_size = "if a size is given it is the content's";
        stat_follows_writes = "the size grows with what is written, and shrinks with truncate";
        stat_version_follows_the_content = "if version tags are given, another content has another one";
    }
    times {
        times_are_kept = "with TIMES claimed, a committed file has the time that it was given, rounded down, whatever was written";
        names_take_times = "zvfs.times/1: so has what is there under a name; ENOENT for what is not";
    }
    namespace {
        namespace_stats_names = "size and kind of what is there; ENOENT for what is not";
        namespace_removes_names = "gone afterwards; removing it again is ENOENT";
        namespace_lists_no_odd_names = "a file is ENOTDIR to list; entries are single components, each once";
        folders_are_made_and_removed = "zvfs.folders/1: a directory until it is removed; EEXIST, EISDIR and ENOTDIR where they belong";
        layers_pass_folders_on = "a layer with names makes folders where the provider beneath does; no layer, nothing to check";
        names_are_bytes = "zvfs.names/1 lists what the namespace does and what is no UTF-8; single components, each once";
    }
    finish {
        finish_on_a_reader_is_harmless = "END, COMMIT and DISCARD on a file open for reading";
        finish_ends_a_writer = "END returns at once, COMMIT after it, DISCARD instead of it";
        flush_keeps_the_content = "PUSH and SYNC between writes";
        atomic_is_invisible_before_commit = "nothing under the name, also after a flush SYNC, then all of it";
        atomic_keeps_the_old_until_commit = "readers see the old content, then the new";
        atomic_leaves_no_trace_without_commit = "DISCARD, END alone and a plain close";
        ended_files_stay_as_they_are = "after END, COMMIT and DISCARD nothing is written, also by close";
    }
    lease {
        lease_reads_the_content = "the bytes behind the descriptor lent are the file's, from its position on";
        lease_takes_writes = "what is written through it is in the file";
    }
    poll {
        tries_read_the_content = "with POLL claimed, all of it, in order, between calls that wait";
        tries_write_what_is_read_back = "with POLL claimed, and try_finish ends it";
        an_interest_is_one_descriptor = "what is ready was asked for; one fd and one kernel file for the file's life";
        a_try_waits_for_nothing = "with POLL claimed, a call that would wait returns EAGAIN at once, and the same call later works";
    }
    cancel {
        cancelled_calls_return = "with CANCEL claimed, a cancelled file's calls end at once";
        cancel_ends_a_blocked_call = "with CANCEL claimed, within 2 s (the rule is 100 ms)";
        deadline_ends_a_blocked_call = "with CANCEL claimed, with ETIMEDOUT";
        lifted_files_go_on = "after a cancel is lifted, and a deadline moved, calls go on where they were";
    }
    sequences {
        calls_follow_one_model = "random calls in any order: position, content, ends, cancel and deadline";
    }
    life {
        opens_leak_no_descriptors = "/proc/self/fd is as full after up to 200 opens and closes as before";
        close_waits_for_nothing = "close does not sleep: not after a read, a write, END, COMMIT or DISCARD";
        files_work_in_parallel = "files of one instance are independent, if `threads` says so";
        instances_are_isolated = "two instances do not see each other's names, if the subject says so";
        errors_say_what_happened = "a text of one line, a code that may be returned";
    }
}
