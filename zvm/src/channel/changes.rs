//! What a guest left behind that is to be written to a provider's folder.

use std::collections::HashSet;

/// What is to be made in a folder. Paths are below it, without a slash in front, and end in names that a guest can open.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Folders that are to be there, each after the one above it.
    pub(crate) folders: Vec<String>,
    /// Files, in the order in which the guest first opened them to write.
    pub(crate) files: Vec<ChangedFile>,
    /// Files of the provider that are to go, with their numbers in the session's tree.
    pub(crate) removed_files: Vec<(String, usize)>,
    /// Its folders that are to go, each before the one above it.
    pub(crate) removed_folders: Vec<String>,
}

/// One file that is to be written.
#[derive(Debug)]
pub(crate) struct ChangedFile {
    pub(crate) path: String,
    /// What the guest's side knows its content by.
    pub(crate) content: usize,
    pub(crate) size: u64,
    /// The time that the guest gave it, in nanoseconds since 1970.
    pub(crate) modified: Option<u64>,
    /// The provider's file that it replaces, by its number in the session's tree.
    pub(crate) replaces: Option<usize>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
            && self.files.is_empty()
            && self.removed_files.is_empty()
            && self.removed_folders.is_empty()
    }

    /// How many folders have nothing in them.
    pub(super) fn empty_folders(&self) -> usize {
        let paths = self.folders.iter().chain(self.files.iter().map(|file| &file.path));
        let filled: HashSet<&str> = paths.filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
        self.folders.iter().filter(|folder| !filled.contains(folder.as_str())).count()
    }
}

/// Reads a file's content at an offset: into the whole buffer, unless the file ends before.
pub(crate) type ReadContent<'a> = dyn Fn(usize, &mut [u8], u64) -> usize + 'a;
