//! Content that tells where it belongs, and whole stretches of it through files.

use super::deadline::{SOON, deadline};
use crate::random::{Random, mixed};
use crate::step::{Step, Stop};
use crate::steps::{ensure, refused, same};
use std::time::{Duration, Instant};
use vfs_core::{Code, Error, Finish, OpenFile, Result};

/// More than this and a pipe counts as endless.
const CONTENT_MAX: usize = 256 << 20;
/// An everyday buffer, and no divisor of anything.
const CHUNK: usize = 50_000;
/// How often something must have been in vain.
const TRIES: u32 = 3;

/// Fills a buffer with the bytes that an endless random stream has at an offset: whoever knows the seed can check any part.
pub(crate) fn noise(seed: u64, at: u64, buffer: &mut [u8]) {
    let mut word = [0; 8];
    for (position, byte) in (at..).zip(buffer.iter_mut()) {
        let within = (position % 8) as usize;
        if within == 0 || position == at {
            word = mixed(seed ^ (position / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes();
        }
        *byte = word[within];
    }
}

/// The first bytes of a stream.
pub(crate) fn noise_of(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    noise(seed, 0, &mut bytes);
    bytes
}

/// Writes all of it.
pub(crate) fn write_whole(file: &mut OpenFile, bytes: &[u8]) -> Step {
    Ok(file.write_all(bytes)?)
}

/// Writes the stream's first `total` bytes, in writes of up to `most`.
pub(crate) fn write_noise(file: &mut OpenFile, seed: u64, total: u64, most: usize) -> Step {
    let (mut random, mut buffer, mut done) = (Random(seed), vec![0; most], 0);
    while done < total {
        let count = random.up_to(most as u64).min(total - done) as usize;
        noise(seed, done, &mut buffer[..count]);
        write_whole(file, &buffer[..count])?;
        done += count as u64;
    }
    Ok(())
}

/// Reads to the end, in reads of up to `most`, and checks that it is the stream's first `total` bytes. `pause` is called
/// after each read.
pub(crate) fn expect_noise(
    file: &mut OpenFile,
    seed: u64,
    total: u64,
    most: usize,
    mut pause: impl FnMut(),
) -> Step {
    let (mut random, mut buffer, mut wanted, mut done) = (Random(!seed), vec![0; most], vec![0; most], 0);
    loop {
        let asked = random.up_to(most as u64) as usize;
        let count = file.read(&mut buffer[..asked])?;
        if count == 0 {
            ensure!(done == total, "the end after {done} bytes of {total}");
            return Ok(());
        }
        noise(seed, done, &mut wanted[..count]);
        same(&buffer[..count], &wanted[..count], "what arrived")
            .map_err(|_| Stop::Fail(format!("other bytes arrive than were sent, from byte {done} on")))?;
        done += count as u64;
        ensure!(done <= total, "{done} bytes arrive of {total}");
        pause();
    }
}

/// Reads so many bytes, in as many reads as it takes.
pub(crate) fn read_exactly(file: &mut OpenFile, wanted: usize) -> Step<Vec<u8>> {
    let bytes = read_up_to(file, wanted)?;
    ensure!(bytes.len() == wanted, "the end after {} bytes, {wanted} were due", bytes.len());
    Ok(bytes)
}

/// Reads so many bytes, fewer only at the end.
pub(crate) fn read_up_to(file: &mut OpenFile, wanted: usize) -> Step<Vec<u8>> {
    let (mut bytes, mut done) = (vec![0; wanted], 0);
    while done < wanted {
        match file.read(&mut bytes[done..])? {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// Reads until it ends or fails: what came, and how it ended.
pub(crate) fn drain(file: &mut OpenFile) -> Step<(Vec<u8>, Option<Error>)> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((all, None)),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) => return Ok((all, Some(error))),
        }
        ensure!(all.len() <= CONTENT_MAX, "no end after {CONTENT_MAX} bytes");
    }
}

/// Reads to the end.
pub(crate) fn read_to_end(file: &mut OpenFile) -> Step<Vec<u8>> {
    match drain(file)? {
        (all, None) => Ok(all),
        (all, Some(error)) => {
            let (count, code) = (all.len(), error.code());
            Err(Stop::Fail(format!("after {count} bytes, instead of the end: {} ({code})", error.chain())))
        }
    }
}

/// Writes the last bytes, and checks that they arrive with the end behind them.
pub(crate) fn ends_with(writer: &mut OpenFile, reader: &mut OpenFile, bytes: &[u8], what: &str) -> Step {
    write_whole(writer, bytes)?;
    writer.finish(Finish::End)?;
    same(&read_to_end(reader)?, bytes, what)
}

/// Checks that the end is there, and stays.
pub(crate) fn at_end(file: &mut OpenFile) -> Step {
    for _ in 0..3 {
        let count = file.read(&mut [0; 100])?;
        ensure!(count == 0, "a read at the end gives {count} bytes");
    }
    Ok(())
}

/// Ends all of them.
pub(crate) fn finish_all(files: &mut [OpenFile], how: Finish) -> Step {
    files.iter_mut().try_for_each(|file| Ok::<(), Stop>(file.finish(how)?))
}

/// Writes until it fails, as it must soon once the other side has gone.
pub(crate) fn write_until_it_fails(file: &mut OpenFile, bytes: &[u8], patience: Duration) -> Step<Error> {
    let until = Instant::now() + patience;
    loop {
        if let Err(error) = file.write(bytes) {
            return Ok(error);
        }
        ensure!(Instant::now() < until, "writes go on for {patience:?} though nobody is there");
    }
}

/// Fills a pipe whose reader stands still; returns how many bytes it took until no more went in. One write that times out
/// may have been kept from running.
pub(crate) fn fill(file: &mut OpenFile, bytes: &[u8], bound: usize) -> Step<usize> {
    let (mut written, mut in_vain) = (0, 0);
    while in_vain < TRIES {
        deadline(file, Duration::from_millis(100));
        match file.write(bytes) {
            Ok(count) => (written, in_vain) = (written + count, 0),
            Err(error) if error.code() == Code::ETIMEDOUT => in_vain += 1,
            Err(error) => {
                return Err(Stop::Fail(format!("filling a pipe: {} ({})", error.chain(), error.code())));
            }
        }
        ensure!(written <= bound, "the pipe took {written} bytes that nobody reads; the bound is {bound}");
    }
    Ok(written)
}

/// Checks that a call runs into its deadline, several times: a machine that is busy enough lets anything time out once.
pub(crate) fn times_out<T>(
    file: &mut OpenFile,
    what: &str,
    mut call: impl FnMut(&mut OpenFile) -> Result<T>,
) -> Step {
    for _ in 0..TRIES {
        deadline(file, SOON);
        refused(call(file), &[Code::ETIMEDOUT], what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_in_any_pieces() {
        let whole = noise_of(3, 1000);
        for piece in [1, 7, 8, 9, 100] {
            let mut pieces = vec![0; 1000];
            for at in (0..1000).step_by(piece) {
                let end = 1000.min(at + piece);
                noise(3, at as u64, &mut pieces[at..end]);
            }
            assert_eq!(pieces, whole, "{piece}");
        }
        assert_ne!(whole, noise_of(4, 1000));
        // Shifted, it does not match itself: a lost or a doubled byte shows.
        assert!((1..900).all(|shift| whole[..100] != whole[shift..shift + 100]));
    }
}
