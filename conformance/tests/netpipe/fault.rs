//! What a back-end can do wrong, and the checks that have to notice.

macro_rules! faults {
    ($($fault:ident = $($check:literal),+;)+) => {
        /// One thing that the model does wrong; `None`: nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { None, $($fault,)+ }

        /// Each fault, with a check that fails for it.
        pub const FAULTS: &[(Fault, &str)] = &[$($((Fault::$fault, $check),)+)+];
    };
}

faults! {
    OpenWaitsForThePeer = "open_returns_at_once", "zero_sized_calls_return_zero";
    LosesEarlyWriters = "either_side_may_be_first";
    RefusesItsOwnPipes = "both_ends_may_be_in_one_host";
    ClaimsPositions = "ends_claim_their_direction";
    NeedsFlags = "the_descriptor_says_the_direction";
    IgnoresTheDirection = "wrong_direction_is_ebadf";

    WritesWithoutReader = "write_waits_for_a_reader_to_open";
    WriteWaitsForARead = "write_waits_for_a_reader_to_open";
    DeadlineIsEagain = "write_without_reader_times_out", "read_without_data_times_out";
    TimedOutWriteMoves = "write_without_reader_times_out", "a_timed_out_write_moved_nothing";
    IgnoresCancel = "write_without_reader_is_cancelled", "write_into_a_full_pipe_is_cancelled",
        "read_without_data_is_cancelled", "close_with_a_call_pending";
    ReadPolls = "read_waits_for_data";
    ArrivalDisarmsTheDeadline = "partial_arrival_keeps_the_deadline";
    CommitIgnoresItsContext = "commit_is_ended_by_deadline_and_cancel";
    BlockedReaderBreaks = "writer_may_open_while_the_reader_is_blocked";
    IdleReaderExpires = "idle_ends_do_not_expire";

    EndComesOnce = "end_is_zero_and_stays";
    EndWaitsForTheReader = "end_before_any_reader_returns_and_is_delivered";
    PushWaits = "end_and_push_never_wait";
    CloseDropsData = "data_arrives_after_end_and_close";
    StopDropsData = "stopping_delivers_what_was_ended";
    CommitIsEnd = "end_before_any_reader_returns_and_is_delivered", "commit_waits_for_a_reader", "commit_waits_until_all_is_taken";
    CommitNeedsTheEndRead = "commit_is_done_with_the_last_byte", "commit_needs_no_read_of_the_end";
    SyncIsPush = "sync_waits_until_all_is_taken";

    ForgetsEarlyDiscards = "discard_before_the_reader_is_remembered";
    DiscardIsEnd = "discard_is_never_an_end";
    CloseIsEnd = "close_without_end_is_never_an_end";
    CancelSpoilsDiscard = "a_cancelled_writer_can_discard";
    BlockedReadMissesBreaks = "breaking_ends_a_blocked_read";
    BreaksTheReaderOnly = "a_broken_writer_breaks_the_others";

    CloseIsReset = "reader_close_ends_a_blocked_write";
    BlockedWriteMissesClose = "reader_close_ends_a_blocked_write", "reader_that_takes_less_ends_the_writer";
    WritesIntoTheVoid = "reader_close_fails_the_next_write", "close_with_a_call_pending";
    CommitIgnoresClose = "reader_close_fails_commit_and_sync", "reader_that_takes_less_ends_the_writer";

    AdmitsMoreWriters = "a_second_writer_is_ebusy", "one_writer_more_than_expected_is_ebusy",
        "a_new_writer_leaves_the_old_reader_alone";
    RefusesAtOpen = "a_second_writer_is_ebusy";
    LosesOtherEarlyWriters = "several_writers_may_come_before_the_reader";
    SecondReaderSeesTheEnd = "a_second_reader_is_ebusy";
    FirstEndEnds = "the_end_counts_after_as_many_ends_as_writers", "any_number_of_writers_ends_at_zero";
    AnyNumberNeverEnds = "any_number_of_writers_ends_at_zero";
    MixesWrites = "writes_arrive_whole";
    WritesShort = "writes_arrive_whole";
    SwapsWrites = "order_is_kept_per_writer", "a_mesh_of_16_by_16_ends";

    NamesAreForOnce = "a_name_may_be_used_again";
    LateWriterIsEpipe = "a_late_writer_waits_for_the_next_reader";
    BrokenNamesStay = "a_name_may_be_used_again_after_a_break";

    BuffersNothing = "at_least_64_kib_are_buffered", "both_sides_may_write_first";
    BuffersAnything = "buffering_is_bounded";
    ReadDropsTheRest = "reads_cut_what_was_written", "reads_join_what_was_written";
    ReadsAllOrNothing = "a_read_of_1000_gets_what_there_is";
    HoldsUntilEnd = "request_and_response_a_thousand_times", "a_ring_of_three_ends";
    ChangesAByte = "two_hops_with_a_slow_last_node", "bunch_in", "bunch_out", "a_pipe_is_passed_on_by_copy";
    ThreadForEachOpen = "many_pipes_need_few_threads";
}
