//! Regions that may still go on in items to come: union-find that gives back the room of what is
//! whole, so that it holds what is open and nothing else.

use std::mem::take;

use super::{
    chains::{Chains, n_corners},
    regions::Tally,
};

/// Names a part of a region for as long as the region is open; afterwards the name is given again.
pub(super) type Part = u32;

#[derive(Debug, Default)]
pub(super) struct OpenRegions {
    slots: Vec<Slot>,
    free: Vec<Part>,
}

#[derive(Debug)]
struct Slot {
    parent: Part,
    /// Of the whole region where the slot is its own parent, else empty.
    open: Open,
}

/// Parts that turned out to be one region.
#[derive(Debug, Default)]
struct Open {
    tally: Tally,
    chains: Chains,
    parts: Vec<Part>,
    /// Contacts whose other side is not known yet.
    n_contacts: usize,
    /// Of all chains together, both ends of each.
    n_corners: usize,
}

impl OpenRegions {
    pub(super) fn add(&mut self, tally: Tally, chains: Chains) -> Part {
        let part = self.free.pop().unwrap_or(self.slots.len() as Part);
        let n_corners = n_corners(&chains);
        let open = Open { tally, chains, parts: vec![part], n_contacts: 0, n_corners };
        let slot = Slot { parent: part, open };
        match self.slots.get_mut(part as usize) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        part
    }

    /// The part waits for the other side of a contact.
    pub(super) fn wait(&mut self, part: Part) {
        self.root(part).n_contacts += 1;
    }

    /// The other side of a contact of `waiting` came: it is `part`.
    pub(super) fn join(&mut self, waiting: Part, part: Part) {
        let (a, b) = (self.root_of(waiting), self.root_of(part));
        if a != b {
            let n_parts = |root: Part| self.slots[root as usize].open.parts.len();
            let (large, small) = if n_parts(a) < n_parts(b) { (b, a) } else { (a, b) };
            self.slots[small as usize].parent = large;
            let small = take(&mut self.slots[small as usize].open);
            self.slots[large as usize].open.merge(small);
        }
        self.root(part).n_contacts -= 1;
    }

    pub(super) fn n_corners(&mut self, part: Part) -> usize {
        self.root(part).n_corners
    }

    /// Gives a region back if it waits for nothing any more.
    pub(super) fn take_whole(&mut self, part: Part) -> Option<(Tally, Chains)> {
        let root = self.root(part);
        if root.n_contacts > 0 {
            return None;
        }
        let Open { tally, chains, parts, .. } = take(root);
        self.free.extend(parts);
        Some((tally, chains))
    }

    /// Few steps: a part always goes under a region of no fewer.
    fn root_of(&self, mut part: Part) -> Part {
        while self.slots[part as usize].parent != part {
            part = self.slots[part as usize].parent;
        }
        part
    }

    fn root(&mut self, part: Part) -> &mut Open {
        let root = self.root_of(part);
        &mut self.slots[root as usize].open
    }

    #[cfg(test)]
    pub(super) fn n_free(&self) -> usize {
        self.free.len()
    }

    #[cfg(test)]
    pub(super) fn n_slots(&self) -> usize {
        self.slots.len()
    }
}

impl Open {
    fn merge(&mut self, mut other: Self) {
        self.tally.add(other.tally);
        self.parts.append(&mut other.parts);
        self.n_contacts += other.n_contacts;
        self.n_corners += other.n_corners;
        if self.chains.len() < other.chains.len() {
            std::mem::swap(&mut self.chains, &mut other.chains);
        }
        self.chains.append(&mut other.chains);
    }
}
