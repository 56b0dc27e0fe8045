//! Devices that programs expect of any system, below `/dev`.

/// What is behind the name of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guest) enum Device {
    /// Has nothing to read.
    Null,
    /// Has zeros.
    Zero,
    /// The session's random numbers, those that `random_get` gives.
    Random,
}

/// Their names, in the order in which `/dev` lists them. The place of one is its number.
pub(super) const DEVICES: [(&str, Device); 4] =
    [("null", Device::Null), ("zero", Device::Zero), ("random", Device::Random), ("urandom", Device::Random)];

/// The inode of the first one: above those that are counted, below those of trees.
const INODE: u64 = 1 << 62;

/// The inode of a device.
pub(super) fn inode(number: usize) -> u64 {
    INODE + number as u64
}
