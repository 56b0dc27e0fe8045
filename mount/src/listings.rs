//! What folders were seen to hold, so that whoever goes through one doesn't have each name asked for. And which of the names are links:
//! a provider follows those, and so its answer about one name does not tell; a listing does.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use vfs_core::{Kind, Name, Stat};

/// Names that are kept, of all folders together: beyond that the folder goes that would go first, unless it is the only one.
const NAMES_MAX: usize = 200_000;
/// What is a link is taken to be known for so many times as long as it took to find out: a folder whose listing takes seconds is not
/// listed all the time.
const WORTH: u32 = 10;

/// A folder with more names, if it also takes longer to list, is not listed to its end to tell one name from a link.
const LARGE: usize = 10_000;
const LONG: Duration = Duration::from_secs(1);

/// What is known of a name.
#[derive(Debug)]
pub enum Seen {
    /// The folder was not listed, or too long ago.
    Unlisted,
    /// It was not there.
    Absent,
    /// It was not there as far as the folder was looked at: it is too large.
    Beyond,
    /// A link, or something that its provider says nothing of.
    Link,
    /// It stands for itself. Anything else may have changed.
    Itself(Kind),
    /// All of it, as it was a moment ago.
    Current(Stat),
}

/// What a folder holds.
#[derive(Debug)]
pub struct Listing {
    begun: Instant,
    /// Sizes, times and versions count until then.
    fresh: Instant,
    /// What is a link counts until then.
    holds: Instant,
    names: HashMap<Vec<u8>, Known>,
    links: HashSet<Vec<u8>>,
    /// It goes on.
    is_broken_off: bool,
}

#[derive(Debug)]
struct Known {
    stat: Stat,
    /// Nobody has changed it since.
    is_current: bool,
}

impl Listing {
    /// A listing that begins now.
    pub fn begin() -> Listing {
        let now = Instant::now();
        let (names, links) = (HashMap::new(), HashSet::new());
        Listing { begun: now, fresh: now, holds: now, names, links, is_broken_off: false }
    }

    /// A name of it, as its provider tells it.
    pub fn add(&mut self, name: Name<'_>) {
        match name.itself() {
            Some(stat) => {
                // One that lacks a file's time, as LIST of FTP, is no answer to what the time is: it would be another one a moment later.
                let is_current = stat.kind != Kind::Regular || stat.modified.is_some();
                let known = Known { stat: stat.clone(), is_current };
                self.names.insert(name.bytes.to_owned(), known);
            }
            None => {
                self.links.insert(name.bytes.to_owned());
            }
        }
    }

    /// A folder that is in it, though its provider does not tell.
    pub fn add_folder(&mut self, name: Vec<u8>) {
        self.names.entry(name).or_insert(Known { stat: Stat::of_kind(Kind::Directory), is_current: true });
    }

    /// Breaks it off if it is so large that whoever only asks for one name of it should not wait for its end.
    pub fn break_off_if_large(&mut self) -> bool {
        self.is_broken_off = self.len() > LARGE && self.begun.elapsed() > LONG;
        self.is_broken_off
    }

    /// The names that are shown, and what they are.
    pub fn shown(&self) -> impl Iterator<Item = (&[u8], Kind)> {
        self.names.iter().map(|(name, known)| (name.as_slice(), known.stat.kind))
    }

    /// How many names are not shown.
    pub fn left_out(&self) -> usize {
        self.links.len()
    }

    /// What it says of a name.
    pub fn of(&self, name: &[u8]) -> Seen {
        match self.names.get(name) {
            Some(Known { stat, is_current: true }) => Seen::Current(stat.clone()),
            Some(known) => Seen::Itself(known.stat.kind),
            None if self.links.contains(name) => Seen::Link,
            None if self.is_broken_off => Seen::Beyond,
            None => Seen::Absent,
        }
    }

    fn len(&self) -> usize {
        self.names.len() + self.links.len()
    }
}

/// What was listed of late, by the folder's number.
#[derive(Debug)]
pub struct Listings {
    cache_time: Duration,
    by_folder: Mutex<HashMap<u64, Listing>>,
}

impl Listings {
    /// None yet.
    pub fn new(cache_time: Duration) -> Listings {
        Listings { cache_time, by_folder: Mutex::default() }
    }

    /// What is known of a name in a folder.
    pub fn seen(&self, folder: u64, name: &[u8]) -> Seen {
        let (by_folder, now) = (self.by_folder.lock(), Instant::now());
        let Some(listing) = by_folder.get(&folder).filter(|listing| now < listing.holds) else {
            return Seen::Unlisted;
        };
        match listing.of(name) {
            Seen::Current(stat) if now >= listing.fresh => Seen::Itself(stat.kind),
            seen => seen,
        }
    }

    /// A folder was listed.
    pub fn keep(&self, folder: u64, mut listing: Listing) {
        let now = Instant::now();
        listing.fresh = now + self.cache_time;
        listing.holds = now + self.cache_time.max((now - listing.begun).saturating_mul(WORTH));
        let mut by_folder = self.by_folder.lock();
        by_folder.retain(|_, listing| now < listing.holds);
        by_folder.insert(folder, listing);
        while by_folder.len() > 1 && by_folder.values().map(Listing::len).sum::<usize>() > NAMES_MAX {
            let Some(first) = by_folder.iter().min_by_key(|(_, listing)| listing.holds) else { return };
            let first = *first.0;
            by_folder.remove(&first);
        }
    }

    /// Somebody is still going through a folder that was listed: what was said of its names counts on.
    pub fn goes_on(&self, folder: u64) {
        if let Some(listing) = self.by_folder.lock().get_mut(&folder) {
            listing.fresh = Instant::now() + self.cache_time;
            listing.holds = listing.holds.max(listing.fresh);
        }
    }

    /// A program has made something in the mounted folder, or writes it: it is no link.
    pub fn changed(&self, folder: u64, name: &[u8], kind: Kind) {
        if let Some(listing) = self.by_folder.lock().get_mut(&folder) {
            listing.links.remove(name);
            listing.names.insert(name.to_owned(), Known { stat: Stat::of_kind(kind), is_current: false });
        }
    }

    /// A name is gone, or may stand for something else by now.
    pub fn gone(&self, folder: u64, name: &[u8]) {
        if let Some(listing) = self.by_folder.lock().get_mut(&folder) {
            listing.names.remove(name);
        }
    }

    /// Nobody knows a folder any more.
    pub fn forget(&self, folder: u64) {
        self.by_folder.lock().remove(&folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn listing(names: &[(&str, Option<Kind>)]) -> Listing {
        let mut listing = Listing::begin();
        for (name, kind) in names {
            let stat = kind.map(|kind| Stat::of_kind(kind).modified(SystemTime::UNIX_EPOCH));
            listing.add(Name { bytes: name.as_bytes(), stat: stat.as_ref() });
        }
        listing
    }

    #[test]
    fn a_file_without_a_time_is_asked_for() {
        let mut listing = Listing::begin();
        listing.add(Name { bytes: b"file", stat: Some(&Stat::of_kind(Kind::Regular).size(1)) });
        assert!(matches!(listing.of(b"file"), Seen::Itself(Kind::Regular)));
    }

    #[test]
    fn what_a_listing_says_nothing_of_is_a_link() {
        let listings = Listings::new(Duration::from_secs(3600));
        let names = [
            ("file", Some(Kind::Regular)),
            ("link", None),
            ("odd", Some(Kind::Unknown)),
            ("a", Some(Kind::Directory)),
        ];
        let listing = listing(&names);
        assert_eq!((listing.shown().count(), listing.left_out()), (2, 2));
        assert!(matches!(listings.seen(1, b"link"), Seen::Unlisted));
        listings.keep(1, listing);
        assert!(matches!(listings.seen(1, b"file"), Seen::Current(_)));
        assert!(matches!(listings.seen(1, b"link"), Seen::Link));
        assert!(matches!(listings.seen(1, b"odd"), Seen::Link));
        assert!(matches!(listings.seen(1, b"none"), Seen::Absent));
        listings.changed(1, b"file", Kind::Regular);
        assert!(matches!(listings.seen(1, b"file"), Seen::Itself(Kind::Regular)));
        listings.gone(1, b"file");
        assert!(matches!(listings.seen(1, b"file"), Seen::Absent));
    }

    #[test]
    fn a_large_folder_that_takes_long_is_broken_off() {
        let mut listing = Listing::begin();
        listing.begun -= 2 * LONG;
        for number in 0..=LARGE {
            assert!(!listing.break_off_if_large(), "{number}");
            listing.add_folder(number.to_string().into_bytes());
        }
        assert!(listing.break_off_if_large());
        assert!(matches!(listing.of(b"1"), Seen::Current(_)));
        assert!(matches!(listing.of(b"more"), Seen::Beyond));
        listing.begun = Instant::now();
        assert!(!listing.break_off_if_large());
    }

    #[test]
    fn large_folders_are_not_kept_beside_each_other() {
        let listings = Listings::new(Duration::from_secs(3600));
        for folder in 1..4 {
            let mut listing = Listing::begin();
            for number in 0..NAMES_MAX / 2 {
                listing.add_folder(number.to_string().into_bytes());
            }
            listings.keep(folder, listing);
        }
        assert!(matches!(listings.seen(1, b"1"), Seen::Unlisted));
        assert!(matches!(listings.seen(3, b"1"), Seen::Current(_)));
    }
}
