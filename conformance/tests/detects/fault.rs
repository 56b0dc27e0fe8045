//! What a provider can do wrong, and the check that has to notice.

macro_rules! faults {
    ($($fault:ident = $check:literal;)+) => {
        /// One thing that the model does wrong; `None`: nothing; `Capitals`: it makes all letters capital, which a layer may.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { None, Capitals, $($fault,)+ }

        /// Each fault, with the check that fails for it.
        pub const FAULTS: &[(Fault, &str)] = &[$((Fault::$fault, $check),)+];
    };
}

faults! {
    BadName = "info_is_well_formed";
    BadDefault = "info_is_well_formed";
    InfoChanges = "info_is_the_same_at_each_call";
    OneInstanceOnly = "instances_start_and_stop";

    ClaimsNothing = "claims_something";
    ClaimsBothDirections = "claims_something";
    CapabilitiesChange = "capabilities_are_constant";
    WantsADirection = "no_direction_lets_the_descriptor_decide";
    RefusesUnknownHints = "unknown_hints_are_ignored";
    IgnoresDirections = "wrong_direction_is_ebadf";
    SeeksWithoutClaim = "unclaimed_calls_are_refused";

    FlipsByte5000 = "read_returns_the_content";
    CountsTooMuch = "read_returns_the_content";
    DropsAByteOfOddReads = "read_takes_any_size";
    ReadsOnAfterTheEnd = "read_end_is_zero_and_stays";
    TouchesTheTail = "read_stays_inside_the_buffer";
    SharedPosition = "readers_do_not_share_a_position";

    ForgetsWrites = "write_is_read_back";
    LosesAByteOfSmallWrites = "write_takes_any_size";
    WritesNothing = "write_leaves_its_buffer_alone";
    AppendsAtThePosition = "append_writes_at_the_end";
    AppendsAtTheOldEnd = "append_follows_other_writers";
    PreallocateGrows = "preallocate_changes_no_content";
    PreallocatesAnything = "preallocate_refuses_what_cannot_be";
    EmptiesBeforeItReserves = "preallocate_refuses_what_cannot_be";

    OpensAbsentNames = "absent_names_are_enoent";
    CreatesAtFirstWrite = "create_makes_an_empty_one";
    CreateEmpties = "create_keeps_what_is_there";
    IgnoresExclusive = "exclusive_refuses_what_is_there";
    IgnoresTruncateFlag = "truncate_flag_empties";

    CannotSeek = "seek_goes_where_it_says";
    SeekStopsAtTheStart = "seek_before_the_start_is_einval";
    SeekOverflowPanics = "seek_to_extremes_is_no_panic";
    SeekStopsAtTheEnd = "read_beyond_the_end_is_zero";
    TwoPositions = "position_is_shared_by_read_and_write";
    GapIsGarbage = "write_beyond_the_end_fills_zeros";
    TruncateMovesThePosition = "truncate_shortens_and_fills_zeros";
    AcceptsAnySize = "extremes_of_size_are_errors";

    ReadAtOffByOne = "read_at_reads_at_its_offset";
    ReadAtMovesThePosition = "read_at_leaves_the_position";
    PositionalReadsCollide = "read_at_may_overlap";
    WriteAtAppends = "write_at_writes_at_its_offset";
    PositionalWritesCollide = "write_at_may_overlap";

    StatSizeIsOff = "stat_knows_the_size";
    StatSizeIsStale = "stat_follows_writes";
    VersionIsConstant = "stat_version_follows_the_content";
    WritesForgetTimes = "times_are_kept";
    TimesAreRoundedUp = "times_are_kept";
    NamesForgetTimes = "names_take_times";
    StatsAbsentNames = "namespace_stats_names";
    RemovesNothing = "namespace_removes_names";
    ListsTwice = "namespace_lists_no_odd_names";
    NamesLeaveOut = "names_are_bytes";
    KeepsFoldersFromBeneath = "layers_pass_folders_on";
    MakesFoldersTwice = "folders_are_made_and_removed";

    ReaderCannotFinish = "finish_on_a_reader_is_harmless";
    CommitAfterEndFails = "finish_ends_a_writer";
    FlushStartsAnew = "flush_keeps_the_content";
    AtomicIsOrdinary = "atomic_is_invisible_before_commit";
    SyncPublishes = "atomic_is_invisible_before_commit";
    AtomicInPlace = "atomic_keeps_the_old_until_commit";
    EndPublishes = "atomic_leaves_no_trace_without_commit";
    CloseWritesOn = "ended_files_stay_as_they_are";

    LeaseStartsAtZero = "lease_reads_the_content";
    AdvanceIsForgotten = "lease_takes_writes";

    TriesSkipAByte = "tries_read_the_content";
    TriesCountTooMuch = "tries_write_what_is_read_back";
    LendsAnother = "an_interest_is_one_descriptor";
    ReadyForAnything = "an_interest_is_one_descriptor";
    TriesWait = "a_try_waits_for_nothing";

    FailsCancelledWithEio = "cancelled_calls_return";
    BlocksThroughCancel = "cancel_ends_a_blocked_call";
    StopsWithEio = "deadline_ends_a_blocked_call";
    CancelIsForEver = "lifted_files_go_on";
    OldBytesComeBack = "calls_follow_one_model";

    CloseSleeps = "close_waits_for_nothing";
    LeaksDescriptors = "opens_leak_no_descriptors";
    RefusesParallelOpens = "files_work_in_parallel";
    InstancesShareNames = "instances_are_isolated";
    TextOfTwoLines = "errors_say_what_happened";
    ReturnsEintr = "errors_say_what_happened";
}
