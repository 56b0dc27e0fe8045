//! Content of any size that no two places have alike: the same bytes at the same offsets for everybody, at the speed of a
//! copy, so that a gigabyte need not be stored.

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

const PAGE: usize = 4096;
/// Different pages before their stamps.
const PAGES: usize = 61;

/// Fills a buffer with what stands at an offset.
pub fn fill(offset: u64, buf: &mut [u8]) {
    let (mut done, mut at) = (0, offset);
    while done < buf.len() {
        let (page, within) = (at / PAGE as u64, (at % PAGE as u64) as usize);
        let count = (PAGE - within).min(buf.len() - done);
        let base = &noise()[(page % PAGES as u64) as usize * PAGE..][..PAGE];
        let piece = &mut buf[done..done + count];
        piece.copy_from_slice(&base[within..within + count]);
        // Each page begins with a stamp of its own.
        let stamp = mix(page).to_le_bytes();
        if within < stamp.len() {
            let count = count.min(stamp.len() - within);
            piece[..count].copy_from_slice(&stamp[within..within + count]);
        }
        done += count;
        at += count as u64;
    }
}

/// What stands in a range.
pub fn bytes(range: Range<u64>) -> Vec<u8> {
    let mut buf = vec![0; (range.end - range.start) as usize];
    fill(range.start, &mut buf);
    buf
}

/// Makes a file of it.
pub fn write(path: &Path, size: u64) {
    let mut file = File::create(path).unwrap();
    let mut block = vec![0; 1 << 20];
    for at in (0..size).step_by(block.len()) {
        let count = (size - at).min(block.len() as u64) as usize;
        fill(at, &mut block[..count]);
        file.write_all(&block[..count]).unwrap();
    }
}

fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| (0..(PAGE * PAGES / 8) as u64).flat_map(|at| mix(!at).to_le_bytes()).collect())
}

/// SplitMix64's output function: neighbours have nothing in common.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole() {
        let whole = bytes(0..20_000);
        for (from, to) in [(0, 1), (3, 5), (4090, 4099), (4096, 8192), (1, 20_000), (8191, 8192)] {
            assert_eq!(bytes(from..to), whole[from as usize..to as usize], "{from} to {to}");
        }
    }

    #[test]
    fn far_places_differ() {
        let period = (PAGE * PAGES) as u64;
        assert_ne!(bytes(0..PAGE as u64), bytes(period..period + PAGE as u64));
    }
}
