//! What is in a file: blocks of the scratch space, or a part of a mounted archive.

use crate::guest::errno::Errno;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a block. Files are sparse: a block that nothing was written to is not there.
pub(in crate::guest) const BLOCK: usize = 4096;
/// What a block costs of the scratch space: itself, and what it takes to find it.
const BLOCK_COST: u64 = BLOCK as u64 + 64;
/// The largest size, and the end of the last block.
const SIZE_MAX: u64 = i64::MAX as u64;

/// How much of the scratch space is taken.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    pub(super) fn new(bytes: u64) -> Budget {
        Budget { left: bytes }
    }

    /// Takes so many bytes, or none.
    ///
    /// # Errors
    /// NOSPC.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Errno> {
        self.left = self.left.checked_sub(bytes).ok_or(Errno::NOSPC)?;
        Ok(())
    }

    pub(super) fn give(&mut self, bytes: u64) {
        self.left = self.left.saturating_add(bytes);
    }

    pub(super) fn left(&self) -> u64 {
        self.left
    }
}

/// A folder or a file of one of the session's trees, both by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guest) struct Remote {
    pub(in crate::guest) tree: usize,
    pub(in crate::guest) number: usize,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
pub(in crate::guest) enum Content {
    /// In the scratch space.
    Scratch(Blocks),
    /// In a channel, from `offset` on.
    Packed { channel: usize, offset: u64, size: u64 },
    /// In an archive that was loaded.
    Loaded { archive: Arc<Vec<u8>>, range: Range<usize> },
    /// In a file of a provider's folder, as large as it was listed or opened.
    Remote { at: Remote, size: u64 },
}

/// A file.
#[derive(Clone, Debug)]
pub(in crate::guest) struct File {
    content: Content,
}

/// The blocks of a file by their number, and its size.
#[derive(Clone, Debug, Default)]
pub(in crate::guest) struct Blocks {
    size: u64,
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl File {
    pub(in crate::guest) fn new(content: Content) -> File {
        File { content }
    }

    /// Where its bytes are.
    pub(in crate::guest) fn content(&self) -> &Content {
        &self.content
    }

    /// The blocks of a file that can be written.
    ///
    /// # Errors
    /// ROFS.
    pub(super) fn blocks_mut(&mut self) -> Result<&mut Blocks, Errno> {
        match &mut self.content {
            Content::Scratch(blocks) => Ok(blocks),
            Content::Packed { .. } | Content::Loaded { .. } | Content::Remote { .. } => Err(Errno::ROFS),
        }
    }

    /// Sets the size of one that a provider keeps: it may be known only once it is open.
    pub(super) fn set_remote_size(&mut self, new: u64) {
        if let Content::Remote { size, .. } = &mut self.content {
            *size = new;
        }
    }

    /// Its size in bytes.
    pub(in crate::guest) fn size(&self) -> u64 {
        match &self.content {
            Content::Scratch(blocks) => blocks.size,
            Content::Packed { size, .. } | Content::Remote { size, .. } => *size,
            Content::Loaded { range, .. } => range.len() as u64,
        }
    }

    /// How many blocks of a range may be there: those that a look at each of them sees.
    pub(in crate::guest) fn blocks_within(&self, range: &Range<u64>) -> u64 {
        match &self.content {
            Content::Scratch(blocks) if !range.is_empty() => {
                let all = place(range.end - 1).0 - place(range.start).0 + 1;
                all.min(blocks.blocks.len() as u64)
            }
            _ => 0,
        }
    }

    /// What it costs of the scratch space.
    pub(super) fn cost(&self) -> u64 {
        match &self.content {
            Content::Scratch(blocks) => blocks.blocks.len() as u64 * BLOCK_COST,
            Content::Packed { .. } | Content::Loaded { .. } | Content::Remote { .. } => 0,
        }
    }
}

impl Blocks {
    /// Reads from `at` on as much as there is.
    pub(in crate::guest) fn read(&self, buf: &mut [u8], at: u64) -> usize {
        let left = self.size.saturating_sub(at);
        let count = usize::try_from(left).map_or(buf.len(), |left| buf.len().min(left));
        let mut done = 0;
        while done < count {
            let (number, from) = place(at + done as u64);
            let part = (BLOCK - from).min(count - done);
            match self.blocks.get(&number) {
                Some(block) => buf[done..done + part].copy_from_slice(&block[from..from + part]),
                None => buf[done..done + part].fill(0),
            }
            done += part;
        }
        count
    }

    /// Writes at `at` as much as there is space for.
    ///
    /// # Errors
    /// NOSPC: not one byte. FBIG: past the largest size.
    pub(super) fn write(&mut self, budget: &mut Budget, data: &[u8], at: u64) -> Result<usize, Errno> {
        let room = usize::try_from(SIZE_MAX.saturating_sub(at)).unwrap_or(usize::MAX);
        if room == 0 && !data.is_empty() {
            return Err(Errno::FBIG);
        }
        let data = &data[..data.len().min(room)];
        let mut done = 0;
        while done < data.len() {
            let (number, from) = place(at + done as u64);
            let part = (BLOCK - from).min(data.len() - done);
            if !self.blocks.contains_key(&number) && budget.take(BLOCK_COST).is_err() {
                break;
            }
            let block = self.blocks.entry(number).or_insert_with(|| Box::new([0; BLOCK]));
            block[from..from + part].copy_from_slice(&data[done..done + part]);
            done += part;
        }
        if done == 0 && !data.is_empty() {
            return Err(Errno::NOSPC);
        }
        if done > 0 {
            self.size = self.size.max(at + done as u64);
        }
        Ok(done)
    }

    /// Cuts it, or lets it grow by zeros that take no space.
    pub(super) fn set_size(&mut self, budget: &mut Budget, size: u64) {
        if size < self.size {
            let (number, from) = place(size);
            let cut = self.blocks.split_off(&if from == 0 { number } else { number + 1 });
            budget.give(cut.len() as u64 * BLOCK_COST);
            if let Some(block) = self.blocks.get_mut(&number) {
                block[from..].fill(0);
            }
        }
        self.size = size;
    }

    /// How many blocks of a range are not there.
    ///
    /// # Errors
    /// NOSPC: there is no space for them.
    pub(super) fn missing(&self, budget: &Budget, range: Range<u64>) -> Result<u64, Errno> {
        if range.is_empty() {
            return Ok(0);
        }
        let blocks = place(range.start).0..=place(range.end - 1).0;
        let all = blocks.end() - blocks.start() + 1;
        let missing = all - self.blocks.range(blocks).count() as u64;
        if missing.saturating_mul(BLOCK_COST) > budget.left() { Err(Errno::NOSPC) } else { Ok(missing) }
    }

    /// Makes a range's blocks, so that later writes to it find their space, until `stop` says so; lets the size reach its end.
    ///
    /// # Errors
    /// NOSPC: after some of them; ask [`missing`](Blocks::missing) before.
    pub(super) fn reserve(
        &mut self,
        budget: &mut Budget,
        range: Range<u64>,
        stop: impl Fn() -> bool,
    ) -> Result<(), Errno> {
        if range.is_empty() {
            return Ok(());
        }
        for number in place(range.start).0..=place(range.end - 1).0 {
            if stop() {
                return Ok(());
            }
            if let Entry::Vacant(place) = self.blocks.entry(number) {
                budget.take(BLOCK_COST)?;
                place.insert(Box::new([0; BLOCK]));
            }
        }
        self.size = self.size.max(range.end);
        Ok(())
    }
}

/// The block of an offset, and the offset in it.
fn place(at: u64) -> (u64, usize) {
    (at / BLOCK as u64, (at % BLOCK as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_reads_as_zeros_and_costs_nothing() {
        let (mut blocks, mut budget) = (Blocks::default(), Budget::new(2 * BLOCK_COST));
        assert_eq!(blocks.write(&mut budget, b"end", 1 << 40), Ok(3));
        assert_eq!((blocks.size, budget.left()), ((1 << 40) + 3, BLOCK_COST));
        let mut buf = [1; 5];
        assert_eq!(blocks.read(&mut buf, (1 << 40) - 2), 5);
        assert_eq!(&buf, b"\0\0end");
        assert_eq!(blocks.read(&mut buf, (1 << 40) + 3), 0);
    }

    #[test]
    fn a_write_stops_where_the_space_does() {
        let (mut blocks, mut budget) = (Blocks::default(), Budget::new(BLOCK_COST));
        assert_eq!(blocks.write(&mut budget, &[7; 5000], 0), Ok(BLOCK));
        assert_eq!(blocks.write(&mut budget, &[7; 1], BLOCK as u64), Err(Errno::NOSPC));
        assert_eq!(blocks.write(&mut budget, &[8; 1], 0), Ok(1));
        assert_eq!(blocks.write(&mut budget, &[7; 1], SIZE_MAX), Err(Errno::FBIG));
        assert_eq!(blocks.size, BLOCK as u64);
    }

    #[test]
    fn what_was_cut_reads_as_zeros_and_is_given_back() {
        let (mut blocks, mut budget) = (Blocks::default(), Budget::new(3 * BLOCK_COST));
        blocks.write(&mut budget, &[7; 3 * BLOCK], 0).unwrap();
        blocks.set_size(&mut budget, 10);
        assert_eq!(budget.left(), 2 * BLOCK_COST);
        blocks.set_size(&mut budget, 20);
        let mut buf = [1; 20];
        assert_eq!(blocks.read(&mut buf, 0), 20);
        assert_eq!((buf[..10].to_vec(), buf[10..].to_vec()), (vec![7; 10], vec![0; 10]));
        blocks.set_size(&mut budget, 0);
        assert_eq!(budget.left(), 3 * BLOCK_COST);
    }

    #[test]
    fn a_range_is_reserved_or_refused_whole() {
        let (mut blocks, mut budget) = (Blocks::default(), Budget::new(3 * BLOCK_COST));
        assert_eq!(blocks.missing(&budget, 100..BLOCK as u64 + 1), Ok(2));
        blocks.reserve(&mut budget, 100..BLOCK as u64 + 1, || false).unwrap();
        assert_eq!((blocks.size, budget.left()), (BLOCK as u64 + 1, BLOCK_COST));
        assert_eq!(blocks.missing(&budget, 0..SIZE_MAX), Err(Errno::NOSPC));
        assert_eq!(blocks.missing(&budget, 0..3 * BLOCK as u64), Ok(1));
    }
}
