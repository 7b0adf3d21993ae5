//! What has to be set once a process, before the engine is used.

/// Keeps the engine's blocks in the process. The C library would give every
/// large block back to the kernel after each layer and fetch it again, page by page: a third of the
/// time of a forward pass.
pub fn init_process() {
    const KEEP: libc::c_int = 1 << 30;
    // SAFETY: mallopt only sets the allocator's parameters.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEEP);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEEP);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        // Other arenas have a limit of their own, which large blocks of the device thread would pass.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
    tch::set_num_interop_threads(1);
}
