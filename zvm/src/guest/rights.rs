//! WASI's rights: what a descriptor says that it may do. Two of them, reading and writing, are its access mode.

/// A set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights(u64);

macro_rules! rights {
    ($($name:ident = $bit:literal;)*) => {
        impl Rights {
            $(pub(super) const $name: Rights = Rights(1 << $bit);)*
        }
    };
}

rights! {
    DATASYNC = 0;
    READ = 1;
    SEEK = 2;
    SET_FLAGS = 3;
    SYNC = 4;
    TELL = 5;
    WRITE = 6;
    ADVISE = 7;
    ALLOCATE = 8;
    PATH_CREATE_DIRECTORY = 9;
    PATH_CREATE_FILE = 10;
    PATH_LINK_SOURCE = 11;
    PATH_LINK_TARGET = 12;
    PATH_OPEN = 13;
    READDIR = 14;
    PATH_READLINK = 15;
    PATH_RENAME_SOURCE = 16;
    PATH_RENAME_TARGET = 17;
    PATH_FILESTAT = 18;
    PATH_SET_SIZE = 19;
    PATH_SET_TIMES = 20;
    FILESTAT = 21;
    SET_SIZE = 22;
    SET_TIMES = 23;
    PATH_SYMLINK = 24;
    PATH_REMOVE_DIRECTORY = 25;
    PATH_UNLINK = 26;
    POLL = 27;
}

impl Rights {
    /// What any descriptor of a channel may do.
    const COMMON: Rights =
        Rights::SET_FLAGS.and(Rights::FILESTAT).and(Rights::SET_TIMES).and(Rights::ADVISE).and(Rights::POLL);
    /// What comes with positions.
    const POSITIONS: Rights = Rights::SEEK.and(Rights::TELL);
    /// What comes with writing.
    const WRITING: Rights =
        Rights::WRITE.and(Rights::DATASYNC).and(Rights::SYNC).and(Rights::ALLOCATE).and(Rights::SET_SIZE);
    /// What a directory may do; where there is no scratch space, it is refused as a read-only file system does it.
    pub(super) const DIRECTORY: Rights = Rights::PATH_OPEN
        .and(Rights::PATH_CREATE_DIRECTORY)
        .and(Rights::PATH_CREATE_FILE)
        .and(Rights::PATH_LINK_SOURCE)
        .and(Rights::PATH_LINK_TARGET)
        .and(Rights::READDIR)
        .and(Rights::PATH_READLINK)
        .and(Rights::PATH_RENAME_SOURCE)
        .and(Rights::PATH_RENAME_TARGET)
        .and(Rights::PATH_FILESTAT)
        .and(Rights::PATH_SET_SIZE)
        .and(Rights::PATH_SET_TIMES)
        .and(Rights::PATH_SYMLINK)
        .and(Rights::PATH_REMOVE_DIRECTORY)
        .and(Rights::PATH_UNLINK)
        .and(Rights::FILESTAT)
        .and(Rights::SET_TIMES);
    /// What a directory hands down: all that a file may do, and a directory.
    pub(super) const INHERITING: Rights =
        Rights::COMMON.and(Rights::READ).and(Rights::WRITING).and(Rights::POSITIONS).and(Rights::DIRECTORY);
    /// None.
    pub(super) const NONE: Rights = Rights(0);

    /// What a descriptor of a channel or file may do, by its access mode and its kind.
    pub(super) fn of_file(read: bool, write: bool, positions: bool) -> Rights {
        let mut rights = Rights::COMMON;
        for (given, more) in [(read, Rights::READ), (write, Rights::WRITING), (positions, Rights::POSITIONS)]
        {
            if given {
                rights = rights.and(more);
            }
        }
        rights
    }

    /// The raw bits of a guest, unknown ones too.
    pub(super) fn from_raw(bits: u64) -> Rights {
        Rights(bits)
    }

    /// The raw bits.
    pub(super) fn raw(self) -> u64 {
        self.0
    }

    /// Whether all of `other` are here.
    pub(super) fn contain(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that are in both.
    pub(super) fn both(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }

    const fn and(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}
