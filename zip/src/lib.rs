//! Zip files whose members are stored as they are, read by range: what `torch.save` writes, and what our
//! bundles are. Those of others may be compressed, and are unpacked up to a limit.
//!
//! By hand, for want of a fitting crate: hardly anything is to be unpacked, ranges are wanted, and the crate
//! `zip` gives those late, keeps one of two members of a name without a word, looks for a directory all
//! over the file and brings more code than there is in the rest of what reads weights.
//!
//! Read in this order: [`Source`] is bytes read by range, [`Zip`] finds the members in it, [`ZipWriter`]
//! writes them. All numbers in a file are taken for hostile: nothing is allocated before they are held
//! against its length.

mod directory;
mod error;
mod read;
mod source;
mod write;

pub use crate::{directory::Limits, error::ZipError, read::Zip, source::Source, write::ZipWriter};

const LOCAL: &[u8] = b"PK\x03\x04";
const ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
