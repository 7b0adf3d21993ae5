//! Which items are inside native code just now. The marks lie in memory that outlives the process
//! that makes them, so that its supervisor can read who was in there when it crashed.

use std::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering},
};

use swath_proto::{
    ids::{RunId, WorkerId},
    item::Place,
};

/// More than any worker has threads in native code.
const MARKS: usize = 64;
const TEXT: usize = 508;

/// One mark: a length (0 = free, `TAKEN` = being written) and a text.
#[repr(C)]
struct Mark {
    len: AtomicU32,
    text: [u8; TEXT],
}

const TAKEN: u32 = u32::MAX;

#[repr(C)]
pub struct Page {
    marks: [Mark; MARKS],
}

static PAGE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());

/// An item that was inside native code when its worker crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    pub run: RunId,
    pub place: Place,
    pub worker: WorkerId,
    /// Number of the claim, which the ledger books blame by.
    pub attempt: u32,
}

impl Suspect {
    fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n{}", self.run, self.place, self.worker, self.attempt)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        Some(Self {
            run: lines.next()?.parse().ok()?,
            place: lines.next()?.parse().ok()?,
            worker: lines.next()?.parse().ok()?,
            attempt: lines.next()?.parse().ok()?,
        })
    }
}

impl Page {
    /// Makes the page that this process and its children share.
    pub fn share() -> std::io::Result<&'static Page> {
        // SAFETY: a fresh anonymous mapping of the right size; zeroes are a valid `Page`, and it is
        // never unmapped.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Page>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        PAGE.store(page.cast(), Ordering::Release);
        // SAFETY: mapped above, aligned to a page, lives for ever.
        Ok(unsafe { &*page.cast() })
    }

    /// Reads and clears all marks: for the supervisor, when no child lives.
    pub fn take_suspects(&self) -> Vec<Suspect> {
        let mut suspects = Vec::new();
        for mark in &self.marks {
            let len = mark.len.swap(0, Ordering::AcqRel) as usize;
            if (1..=TEXT).contains(&len) {
                let text = String::from_utf8_lossy(&mark.text[..len]);
                suspects.extend(Suspect::from_text(&text));
            }
        }
        suspects
    }
}

/// Marks an item as being inside native code for as long as it lives.
pub struct Inside(Option<&'static Mark>);

impl Inside {
    pub fn enter(suspect: &Suspect) -> Self {
        let page = PAGE.load(Ordering::Acquire);
        if page.is_null() {
            return Self(None); // not supervised: nobody would read it
        }
        let text = suspect.to_text();
        // SAFETY: set once by `share` to a mapping that lives for ever.
        let marks = unsafe { &*ptr::addr_of!((*page).marks) };
        let free =
            |mark: &&Mark| mark.len.compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let Some(mark) = marks.iter().find(free) else { return Self(None) };
        let len = text.len().min(TEXT);
        // SAFETY: `TAKEN` makes the text ours alone until `len` is stored.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), mark.text.as_ptr().cast_mut(), len) };
        mark.len.store(len as u32, Ordering::Release);
        Self(Some(mark))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(mark) = self.0 {
            mark.len.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::item::Stage;

    #[test]
    fn who_is_inside_is_seen_and_who_has_left_is_not() {
        let page = Page::share().unwrap();
        let suspect = |index| Suspect {
            run: "r".parse().unwrap(),
            place: Place::new(Stage::Predict, 0, index),
            worker: "w".parse().unwrap(),
            attempt: 2,
        };
        let stays = Inside::enter(&suspect(1));
        drop(Inside::enter(&suspect(2)));
        assert_eq!(page.take_suspects(), [suspect(1)]);
        assert_eq!(page.take_suspects(), []);
        drop(stays);
    }
}
