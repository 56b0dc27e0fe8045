//! What an author does about a failed check: one line each, said by `zvfs check`.

/// The words for a check; `None`: there is no check of that name.
pub fn fix(check: &str) -> Option<&'static str> {
    FIXES.iter().find(|(name, _)| *name == check).map(|(_, words)| *words)
}

#[rustfmt::skip] // a table: a line for each check
const FIXES: &[(&str, &str)] = &[
    ("info_is_well_formed", "correct what info() or the table says: the header's comments at `name`, `schemes`, `settings` and `supported_flags` have the rules"),
    ("info_is_the_same_at_each_call", "make the table constant: it is read once, and may not depend on what has happened since"),
    ("instances_start_and_stop", "keep everything in the instance that start() makes, nothing in globals, so that several can live at once"),
    ("claims_something", "claim READABLE for what is opened with READ and WRITABLE with WRITE, and no other direction"),
    ("capabilities_are_constant", "decide in open() what the file can do, keep that, and return it each time"),
    ("no_direction_lets_the_descriptor_decide", "with neither READ nor WRITE open what the descriptor is, or refuse with EINVAL"),
    ("unknown_hints_are_ignored", "mask the open flags: bits 32 to 63 are hints, and an unknown one means nothing"),
    ("wrong_direction_is_ebadf", "remember the direction, and return EBADF from the other one's call"),
    ("unclaimed_calls_are_refused", "return ESPIPE from seek and tell, ENOTSUP from others, on a file that does not claim the capability"),
    ("read_returns_the_content", "compare what read() copies with its source: position, length of each copy, and the count returned"),
    ("read_takes_any_size", "let read() take any n from 1 on: keep what does not fit for the next call"),
    ("read_end_is_zero_and_stays", "return 0 at the end, at each further call too, and never as anything else"),
    ("read_stays_inside_the_buffer", "write only buf[0..count], not a byte before, after, or between count and n"),
    ("readers_do_not_share_a_position", "keep the position in the file, not in the instance or in a global"),
    ("write_is_read_back", "let COMMIT wait until everything written is there; return from write() what was really taken. A layer that changes bytes for good: say what comes back with --comes-back"),
    ("write_takes_any_size", "let write() take any n from 1 on, and return how many bytes it took"),
    ("write_leaves_its_buffer_alone", "treat write()'s buffer as const: encode or encrypt into memory of your own"),
    ("append_writes_at_the_end", "with APPEND write at the end whatever the position is, and leave the position behind what was written"),
    ("append_follows_other_writers", "find the end at each write, not at open; or refuse a second writer with EBUSY"),
    ("preallocate_changes_no_content", "reserve without changing the size that is seen, or take PREALLOCATE out of supported_flags"),
    ("preallocate_refuses_what_cannot_be", "check expected_size in open(), with ENOSPC or EFBIG, before anything is created or emptied; or take PREALLOCATE out of supported_flags"),
    ("absent_names_are_enoent", "return ENOENT where nothing is there and CREATE is not asked for, and make nothing"),
    ("create_makes_an_empty_one", "make the thing in open() (ATOMIC: in COMMIT), also if nothing is ever written"),
    ("create_keeps_what_is_there", "empty what is there for TRUNCATE only; a provider that always replaces the whole leaves TRUNCATE out of supported_flags"),
    ("exclusive_refuses_what_is_there", "with CREATE and EXCLUSIVE check and make in one step, and return EEXIST"),
    ("truncate_flag_empties", "with TRUNCATE start from nothing, or take it out of supported_flags"),
    ("seek_goes_where_it_says", "return the new position from seek(), the same from tell(), and read on from there"),
    ("seek_before_the_start_is_einval", "compute the new position in a wide type, refuse a negative one with EINVAL, and only then move"),
    ("seek_to_extremes_is_no_panic", "add offsets with a check for overflow: EINVAL or EOVERFLOW beyond 2^63-1"),
    ("read_beyond_the_end_is_zero", "let seek() go beyond the end, and return 0 from a read there"),
    ("position_is_shared_by_read_and_write", "keep one position for both directions"),
    ("write_beyond_the_end_fills_zeros", "fill the gap between the old end and the position with zeros"),
    ("truncate_shortens_and_fills_zeros", "set the size, fill with zeros, and leave the position where it was"),
    ("extremes_of_size_are_errors", "check sizes and offsets against 2^63-1 and against what you can hold, before anything is changed"),
    ("read_at_reads_at_its_offset", "read from the offset alone, and return 0 past the end"),
    ("read_at_leaves_the_position", "use no shared position in read_at (pread, not seek and read)"),
    ("read_at_may_overlap", "make read_at safe for several threads at once, or do not claim POSITIONAL_READ"),
    ("write_at_writes_at_its_offset", "write at the offset alone (pwrite), fill a gap with zeros, and leave the position"),
    ("write_at_may_overlap", "make write_at safe for several threads at once, or do not claim POSITIONAL_WRITE"),
    ("stat_knows_the_size", "report the content's size in bytes, or ZVFS_SIZE_UNKNOWN"),
    ("stat_follows_writes", "report the size as of now, with what was written; or ZVFS_SIZE_UNKNOWN"),
    ("stat_version_follows_the_content", "make the version tag change with the content and with nothing else, or leave it empty"),
    ("times_are_kept", "set the time after the last write, in COMMIT, or make a call after the first write ENOTSUP; round down; and let the namespace's stat, or an open file's, return it"),
    ("names_take_times", "in name_set_modified set what stat returns, rounded down, and return ENOENT where nothing is"),
    ("namespace_stats_names", "in the namespace's stat report what open() would find, and ENOENT for what is absent"),
    ("namespace_removes_names", "remove the name, and return ENOENT for one that is not there"),
    ("folders_are_made_and_removed", "in zvfs.folders/1 make one folder, EEXIST if its name is taken, and remove an empty one only"),
    ("layers_pass_folders_on", "offer zvfs.folders/1, and pass it on by folder_make and folder_remove of zvfs.host.open/1 (Rust: Host::make_folder, remove_folder): trees are copied to the layer and mounted by them"),
    ("names_are_bytes", "in zvfs.names/1 list everything that the namespace lists, as bytes with their length, in the same way"),
    ("namespace_lists_no_odd_names", "list single components, each once, stop when the callback says so, and return ENOTDIR for what is no directory"),
    ("finish_on_a_reader_is_harmless", "return 0 from finish() on a file that is open for reading, and change nothing"),
    ("finish_ends_a_writer", "let END be followed by COMMIT, and let DISCARD and a plain close clean up"),
    ("flush_keeps_the_content", "let flush() hand on what is buffered and go on; it ends nothing"),
    ("atomic_is_invisible_before_commit", "write to a temporary place and move it to the name in COMMIT, not in END or flush(SYNC), which makes that place durable; or take ATOMIC out of supported_flags"),
    ("atomic_keeps_the_old_until_commit", "replace the old content in one step (rename), or take ATOMIC out of supported_flags"),
    ("atomic_leaves_no_trace_without_commit", "remove the temporary place in DISCARD and in close()"),
    ("ended_files_stay_as_they_are", "let END and COMMIT be the last word: close() frees, and writes nothing that is still buffered"),
    ("lease_reads_the_content", "lend the fd with the file's own position as the offset, and move the position in advance()"),
    ("lease_takes_writes", "move the position in advance(), and write out what is buffered before you lend"),
    ("tries_read_the_content", "let try_read and read share one position, and return -EAGAIN only where read() would wait, with nothing taken"),
    ("tries_write_what_is_read_back", "return from try_write() what was really taken, -EAGAIN for nothing; and let try_finish(COMMIT) report as finish() does"),
    ("an_interest_is_one_descriptor", "lend one fd for the file's life: an epoll descriptor where sockets change; and say `ready` only of what is wanted"),
    ("a_try_waits_for_nothing", "use O_NONBLOCK, MSG_DONTWAIT or RWF_NOWAIT in the try_ calls, never host->wait(); or do not claim POLL"),
    ("cancelled_calls_return", "look at host->status(context) before a call begins, and return its code; or do not claim CANCEL"),
    ("cancel_ends_a_blocked_call", "wait in host->wait(context, ...) only, and return its code; or do not claim CANCEL"),
    ("deadline_ends_a_blocked_call", "wait in host->wait(context, ...) only, and return its code; or do not claim CANCEL"),
    ("lifted_files_go_on", "keep no memory of a cancel: ask host->status(context) in each call, and go on where the last one ended"),
    ("calls_follow_one_model", "make the calls that the failure lists, in a test of your own: the last of them differs from what the header says of it"),
    ("opens_leak_no_descriptors", "close in close(), and in open() before it fails, whatever open() opened"),
    ("close_waits_for_nothing", "let close() free and return: what takes time belongs into finish(COMMIT), what must be delivered after END into stop()"),
    ("files_work_in_parallel", "protect what files share, or set `threads` to ZVFS_THREADS_PER_INSTANCE or _PER_LIBRARY"),
    ("instances_are_isolated", "keep names and content in the instance, not in globals"),
    ("errors_say_what_happened", "write one line into err, lower case, without a full stop: `zvfs_fail(err, ZVFS_ENOENT, \"no key %s\", key)`; never EINTR or EAGAIN"),
    ("contradictory_flags_are_einval", "refuse contradictions in open() with -ZVFS_EINVAL: the header has them at the open flags"),
    ("unknown_values_are_einval", "end each switch over `how`, `level` and `whence` with a default that returns -ZVFS_EINVAL"),
    ("unknown_extensions_are_null", "compare the whole id, and return NULL for any other"),
    ("errors_come_with_their_text", "return through zvfs_fail(), which writes code and message and ends the message"),
    ("a_null_error_is_borne", "write into err only if it is not NULL: zvfs_fail() looks"),
    ("a_failed_open_leaves_its_output_alone", "write *out as the last step of open(), when nothing can fail any more"),
    ("success_leaves_the_error_alone", "write into err only where the call returns a negative code"),
    ("larger_structs_are_borne", "compare struct_size with >=, never with ==: a later host's structs are larger"),
    ("the_process_is_left_alone", "change nothing that belongs to the whole process: no chdir, umask, setlocale, setenv, signal or sigaction in start(), open() or any other call"),
    ("stop_leaves_no_thread", "tell each thread of the instance to end, and join it in stop(); end one that waits by a pipe or an eventfd that it polls too"),
    ("no_pointer_is_kept_past_a_call", "copy what you need of the request in open(): its strings and settings are gone when it returns. Only the context stays"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BINARY_CHECKS, CHECKS};

    #[test]
    fn each_check_has_words_and_each_word_a_check() {
        let names: Vec<&str> = CHECKS
            .iter()
            .map(|check| check.name)
            .chain(BINARY_CHECKS.iter().map(|check| check.name))
            .collect();
        for name in &names {
            assert!(fix(name).is_some_and(|words| words.len() > 20), "{name}: what does its author do?");
        }
        for (name, _) in FIXES {
            assert!(names.contains(name), "{name} is no check");
        }
        assert_eq!(FIXES.len(), names.len());
    }
}
