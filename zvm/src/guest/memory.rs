//! The guest's memory as one call sees it: every pointer is checked, in 64-bit arithmetic, before it is used.

use super::errno::Errno;
use smallvec::SmallVec;
use std::ops::Range;

/// The most iovecs of one call.
pub(super) const IOVECS_MAX: u32 = 1024;
/// The longest path, in bytes.
pub(super) const PATH_MAX: u32 = 4096;
/// The most bytes that one call moves; more is a short count.
pub(super) const CALL_MAX: usize = 1 << 30;

/// Bytes of the guest's memory that were found to lie within it. Memory doesn't shrink, and nothing keeps one past its call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Span(Range<usize>);

impl Span {
    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first `count` bytes of it, or all.
    pub(super) fn first(&self, count: usize) -> Span {
        Span(self.0.start..self.0.start + self.len().min(count))
    }

    /// At most `count` bytes of it, from `offset` on.
    pub(super) fn step(&self, offset: usize, count: usize) -> Span {
        self.after(offset).first(count)
    }

    /// The part from `offset` on.
    fn after(&self, offset: usize) -> Span {
        Span(self.0.end.min(self.0.start + offset)..self.0.end)
    }
}

/// The guest's linear memory during one call.
pub(super) struct Memory<'a>(&'a mut [u8]);

impl<'a> Memory<'a> {
    /// Looks at all of it.
    pub(super) fn new(bytes: &'a mut [u8]) -> Memory<'a> {
        Memory(bytes)
    }

    /// Checks `count` bytes at `pointer`. None at all need no memory: any pointer will do.
    pub(super) fn span(&self, pointer: u32, count: u32) -> Result<Span, Errno> {
        self.span_u64(pointer, u64::from(count))
    }

    /// Checks `count` items of `size` bytes each.
    pub(super) fn array(&self, pointer: u32, count: u32, size: u32) -> Result<Span, Errno> {
        self.span_u64(pointer, u64::from(count) * u64::from(size))
    }

    fn span_u64(&self, pointer: u32, count: u64) -> Result<Span, Errno> {
        if count == 0 {
            return Ok(Span::default());
        }
        // Both are below 2^64 by far: a u32, and at most the product of two.
        let end = u64::from(pointer) + count;
        match usize::try_from(end) {
            Ok(end) if end <= self.0.len() => Ok(Span(pointer as usize..end)),
            _ => Err(Errno::FAULT),
        }
    }

    /// The bytes of a span.
    pub(super) fn bytes(&self, span: &Span) -> &[u8] {
        self.0.get(span.0.clone()).unwrap_or_default()
    }

    /// The bytes of a span, to fill.
    pub(super) fn bytes_mut(&mut self, span: &Span) -> &mut [u8] {
        self.0.get_mut(span.0.clone()).unwrap_or_default()
    }

    /// Puts `data` at the start of a span; what doesn't fit is left out.
    pub(super) fn put(&mut self, span: &Span, data: &[u8]) {
        for (to, from) in self.bytes_mut(span).iter_mut().zip(data) {
            *to = *from;
        }
    }

    /// Puts the bytes of a number at the start of a span that has room for it.
    pub(super) fn put_number<const N: usize>(&mut self, span: &Span, bytes: [u8; N]) {
        if let Some(place) = self.bytes_mut(span).first_chunk_mut() {
            *place = bytes;
        }
    }

    /// Puts `data` into a span from `offset` on, as much as fits, and returns how much that was.
    pub(super) fn put_at(&mut self, span: &Span, offset: usize, data: &[u8]) -> usize {
        let room = span.after(offset);
        let count = room.len().min(data.len());
        self.put(&room, &data[..count]);
        count
    }

    /// A little-endian u32 at `offset` of a span; 0 outside of it.
    pub(super) fn u32(&self, span: &Span, offset: usize) -> u32 {
        u32::from_le_bytes(self.number(span, offset))
    }

    /// A little-endian u64 at `offset` of a span; 0 outside of it.
    pub(super) fn u64(&self, span: &Span, offset: usize) -> u64 {
        u64::from_le_bytes(self.number(span, offset))
    }

    fn number<const N: usize>(&self, span: &Span, offset: usize) -> [u8; N] {
        self.bytes(&span.after(offset)).first_chunk().copied().unwrap_or([0; N])
    }

    /// Checks and copies a path.
    ///
    /// # Errors
    /// NAMETOOLONG before the pointer is looked at, FAULT, ILSEQ: not UTF-8, INVAL: a NUL.
    pub(super) fn path(&self, pointer: u32, count: u32) -> Result<String, Errno> {
        if count > PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let span = self.span(pointer, count)?;
        match std::str::from_utf8(self.bytes(&span)) {
            Err(_) => Err(Errno::ILSEQ),
            Ok(path) if path.contains('\0') => Err(Errno::INVAL),
            Ok(path) => Ok(path.to_owned()),
        }
    }

    /// Checks an array of iovecs and every buffer in it; the sum is that of their lengths.
    ///
    /// # Errors
    /// INVAL: too many, or a sum over 2^32 - 1, which no result could tell. FAULT: any part outside of the memory.
    pub(super) fn iovecs(&self, pointer: u32, count: u32) -> Result<Iovecs, Errno> {
        if count > IOVECS_MAX {
            return Err(Errno::INVAL);
        }
        let array = self.array(pointer, count, 8)?;
        let array = self.bytes(&array).as_chunks().0;
        if let [iovec] = array {
            let span = self.iovec(*iovec)?;
            let (sum, filled) = (span.len(), usize::from(span.len() > 0));
            return Ok(Iovecs { spans: SmallVec::from_buf_and_len([span, Span::default()], filled), sum });
        }
        let mut iovecs = Iovecs { spans: SmallVec::new(), sum: 0 };
        for iovec in array {
            let span = self.iovec(*iovec)?;
            // Of 1,024 u32 at most.
            iovecs.sum += span.len();
            if span.len() > 0 {
                iovecs.spans.push(span);
            }
        }
        if u32::try_from(iovecs.sum).is_err() { Err(Errno::INVAL) } else { Ok(iovecs) }
    }

    /// Checks the buffer of an iovec.
    fn iovec(&self, bytes: [u8; 8]) -> Result<Span, Errno> {
        let both = u64::from_le_bytes(bytes);
        self.span(both as u32, (both >> 32) as u32)
    }
}

/// The buffers of one call, all within the memory; empty ones are left out. They may overlap.
#[derive(Debug)]
pub(super) struct Iovecs {
    /// Most calls have one, C's streams two: those need no allocation.
    spans: SmallVec<[Span; 2]>,
    sum: usize,
}

impl Iovecs {
    /// All their bytes.
    pub(super) fn sum(&self) -> usize {
        self.sum
    }

    /// The buffers that are not empty.
    pub(super) fn spans(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter()
    }

    /// The only buffer, if there is just one: it needs no copy.
    pub(super) fn single(&self) -> Option<&Span> {
        match self.spans.as_slice() {
            [span] => Some(span),
            _ => None,
        }
    }

    /// Copies the buffers, one after the other, to `into`, and returns how many bytes that was.
    pub(super) fn gather(&self, memory: &Memory<'_>, into: &mut [u8]) -> usize {
        let mut done = 0;
        for span in &self.spans {
            let from = memory.bytes(&span.first(into.len() - done));
            into[done..done + from.len()].copy_from_slice(from);
            done += from.len();
        }
        done
    }

    /// Copies `from` into the buffers, in order: where two overlap, the later one wins.
    pub(super) fn scatter(&self, memory: &mut Memory<'_>, mut from: &[u8]) {
        for span in &self.spans {
            let (now, later) = from.split_at(span.len().min(from.len()));
            memory.put(span, now);
            from = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iovec_array(buffers: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (pointer, count) in buffers {
            bytes.extend(pointer.to_le_bytes());
            bytes.extend(count.to_le_bytes());
        }
        bytes.resize(65536, 0);
        bytes
    }

    #[test]
    fn a_span_ends_within_the_memory() {
        let mut bytes = vec![0; 65536];
        let memory = Memory::new(&mut bytes);
        assert_eq!(memory.span(65535, 1).map(|span| span.len()), Ok(1));
        assert_eq!(memory.span(65535, 2), Err(Errno::FAULT));
        assert_eq!(memory.span(u32::MAX, u32::MAX), Err(Errno::FAULT));
        assert_eq!(memory.array(0, u32::MAX, 48), Err(Errno::FAULT));
        assert_eq!(memory.span(u32::MAX, 0).map(|span| span.len()), Ok(0));
    }

    #[test]
    fn a_huge_path_is_refused_by_its_length_alone() {
        let mut bytes = vec![b'a'; 65536];
        let memory = Memory::new(&mut bytes);
        assert_eq!(memory.path(0, u32::MAX), Err(Errno::NAMETOOLONG));
        assert_eq!(memory.path(0, 4097), Err(Errno::NAMETOOLONG));
        assert_eq!(memory.path(0, 4096).map(|path| path.len()), Ok(4096));
        assert_eq!(memory.path(65535, 2), Err(Errno::FAULT));
    }

    #[test]
    fn a_path_is_utf_8() {
        let mut bytes = vec![0xff; 65536];
        assert_eq!(Memory::new(&mut bytes).path(0, 3), Err(Errno::ILSEQ));
    }

    #[test]
    fn iovecs_are_bounded_and_checked() {
        let mut bytes = iovec_array(&[(0, 16), (100, 0), (65535, 1)]);
        let memory = Memory::new(&mut bytes);
        let iovecs = memory.iovecs(0, 3).unwrap();
        assert_eq!((iovecs.sum(), iovecs.spans.len()), (17, 2));
        assert_eq!(memory.iovecs(0, 1025).unwrap_err(), Errno::INVAL);
        assert_eq!(memory.iovecs(0, 536_870_911).unwrap_err(), Errno::INVAL);
        assert_eq!(memory.iovecs(65532, 1).unwrap_err(), Errno::FAULT);
        let mut bytes = iovec_array(&[(65535, 2)]);
        assert_eq!(Memory::new(&mut bytes).iovecs(0, 1).unwrap_err(), Errno::FAULT);
    }

    #[test]
    fn a_sum_that_no_result_can_tell_is_invalid() {
        // 1,024 buffers over one and the same 5 MiB: more than 2^32 bytes together.
        let mut bytes = iovec_array(&[(0, 5 << 20); 1024]);
        bytes.resize(5 << 20, 0);
        assert_eq!(Memory::new(&mut bytes).iovecs(0, 1024).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn overlapping_buffers_are_filled_in_order() {
        let mut bytes = iovec_array(&[(1000, 4), (1002, 4)]);
        let mut memory = Memory::new(&mut bytes);
        let iovecs = memory.iovecs(0, 2).unwrap();
        iovecs.scatter(&mut memory, b"abcdefgh");
        assert_eq!(&bytes[1000..1007], b"abefgh\0");
        let mut gathered = [0; 7];
        assert_eq!(iovecs.gather(&Memory::new(&mut bytes), &mut gathered), 7);
        assert_eq!(&gathered, b"abefefg");
    }
}
