//! Members that are compressed, as zip files of others have them. All of one is read into memory, up to a limit.

use std::io::Read as _;

use flate2::{Decompress, FlushDecompress, Status};
