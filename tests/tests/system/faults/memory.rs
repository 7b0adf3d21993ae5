//! Workers that run out of memory.
