//! Ranks that learn together: each has the whole network and a part of every batch. What they must agree on is
//! summed over all of them by PyTorch's own c10d (its store, Gloo, NCCL, its reducer of gradients); on one machine, in
//! memory that they share. What sums tensors, and where they lie, is the [`carrier`]'s.
//!
//! All ranks must ask for the same things in the same order, each from the one thread that trains. Where one is gone,
//! all others are told by an error of [`Kind::Gang`], and nothing is mended: the process is to end, and a new gang goes
//! on from the last checkpoint.

mod carrier;
mod ffi;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    os::fd::IntoRawFd,
    ptr::NonNull,
    time::Duration,
};

use tch::Tensor;

use crate::{
    conv::Norm,
    cpp::said,
    error::{Kind, ModelError, Result},
};

pub use carrier::{Carrier, SumsBy};

/// One of a gang's ranks, which is this process.
pub struct Gang {
    rank: u32,
    size: u32,
    /// A gang of one has nobody to talk to.
    group: Option<Group>,
    /// Number of the next words to all.
    next_words: u64,
}

struct Group {
    gang: NonNull<ffi::Gang>,
    /// The first rank's is the gang's: it must outlive it.
    _store: Store,
}

// SAFETY: c10d's groups may be used by any thread, by one at a time.
unsafe impl Send for Group {}

/// Where ranks find each other: kept by one of them, or by whoever started them.
pub struct Store {
    store: NonNull<ffi::Store>,
    pub port: u16,
}

// SAFETY: as for groups.
unsafe impl Send for Store {}

/// How long it may take until another rank answers, which may be busy writing a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Patience(pub Duration);

impl Patience {
    fn ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

/// From where a store can be found. It asks nobody who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By processes of this machine.
    Here,
    /// By whoever reaches this machine: for networks whose members trust each other.
    Everywhere,
}

impl Store {
    /// Opens one here; port 0 takes any that is free.
    pub fn serve(port: u16, reach: Reach, patience: Patience) -> Result<Self> {
        let host = if reach == Reach::Here { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let listener = TcpListener::bind((host, port))
            .map_err(|error| gone(format!("opening the gang's store at {host}:{port}: {error}")))?;
        Self::open("127.0.0.1", port, Some(listener), patience)
    }

    pub fn find(host: &str, port: u16, patience: Patience) -> Result<Self> {
        Self::open(host, port, None, patience)
    }

    /// Served on a listener, if there is one.
    fn open(host: &str, port: u16, listener: Option<TcpListener>, patience: Patience) -> Result<Self> {
        let port = match &listener {
            Some(listener) => listener.local_addr().map_or(port, |address| address.port()),
            None => port,
        };
        let (host_c, mut store) = (ffi::text(host)?, std::ptr::null_mut());
        let doing = if listener.is_some() { "opening the gang's store" } else { "finding the gang's store" };
        // The other side closes it.
        let listener = listener.map_or(-1, IntoRawFd::into_raw_fd);
        // SAFETY: all live as long as the call; the other side fills in the store, and throws nothing.
        said(|why, room| unsafe {
            ffi::swath_gang_store(host_c.as_ptr(), port, listener, patience.ms(), &mut store, why, room)
        })
        .map_err(|why| gone(format!("{doing} at {host}:{port}: {why}")))?;
        let store = NonNull::new(store).ok_or_else(|| ModelError::internal("c10d has opened no store"))?;
        Ok(Self { store, port })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once.
        unsafe { ffi::swath_gang_store_close(self.store.as_ptr()) }
    }
}

impl Gang {
    /// One rank, which is all there are.
    pub const fn alone() -> Self {
        Self { rank: 0, size: 1, group: None, next_words: 0 }
    }

    /// Returns once all ranks are there. `address` is where the others reach this one, and left out where all are on
    /// this machine; `attempt` tells this gang from those that have met at the same store before. Who has another kind
    /// of carrier than the first rank is told, and does not meet it.
    pub fn meet(
        store: Store,
        (rank, size): (u32, u32),
        address: Option<IpAddr>,
        attempt: &str,
        patience: Patience,
        carrier: &Carrier,
    ) -> Result<Self> {
        if rank >= size {
            return Err(ModelError::config(format!("rank {rank} of {size}: ranks count from 0")));
        }
        if size == 1 {
            return Ok(Self::alone());
        }
        let is_here = address.is_none();
        let address = address.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let (address, attempt) = (ffi::text(&address.to_string())?, ffi::text(attempt)?);
        let unmet = |why: String| gone(format!("rank {rank} of {size} has not met the others: {why}"));
        let (own, mut first) = (ffi::text(carrier.words())?, Vec::<u8>::new());
        // SAFETY: all live as long as the call; the other side calls `take` before it returns, and throws nothing.
        said(|why, room| unsafe {
            let (store, attempt, own) = (store.store.as_ptr(), attempt.as_ptr(), own.as_ptr());
            let taker = (&raw mut first).cast();
            ffi::swath_gang_hear_first(store, rank, attempt, own, ffi::take, taker, why, room)
        })
        .map_err(unmet)?;
        if first != carrier.words().as_bytes() {
            return Err(ModelError::config(format!(
                "rank {rank} computes on {}; the first one on {}: all ranks take the same --device and --sums-by",
                carrier.words(),
                String::from_utf8_lossy(&first)
            )));
        }
        let mut gang = std::ptr::null_mut();
        // SAFETY: all live as long as the call, and the plugin for good; the other side fills in the gang, and throws
        // nothing.
        said(|why, room| unsafe {
            let (store, address, attempt) = (store.store.as_ptr(), address.as_ptr(), attempt.as_ptr());
            let (card, nccl, timeout_ms) = (carrier.card(), carrier.nccl, patience.ms());
            ffi::swath_gang_meet(
                store, rank, size, address, attempt, is_here, card, nccl, timeout_ms, &mut gang, why, room,
            )
        })
        .map_err(unmet)?;
        let gang = NonNull::new(gang).ok_or_else(|| ModelError::internal("c10d has made no group"))?;
        Ok(Self { rank, size, group: Some(Group { gang, _store: store }), next_words: 0 })
    }

    pub const fn rank(&self) -> u32 {
        self.rank
    }

    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The first rank writes checkpoints and tells how far all are.
    pub const fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Puts the sum over all ranks in the place of each number: the same bits for all.
    pub fn sum(&self, numbers: &mut [f64]) -> Result<()> {
        let sum = self.begin(numbers)?;
        sum.end_into(numbers)
    }

    /// The sum of one number, beside what is computed until its end is asked for.
    pub(crate) fn begin_sum(&self, number: f64) -> Result<Sum> {
        self.begin(&[number])
    }

    /// The sum of each of several numbers.
    pub(crate) fn begin(&self, numbers: &[f64]) -> Result<Sum> {
        let alone = numbers.first().copied().unwrap_or_default();
        let Some(group) = &self.group else { return Ok(Sum { alone, under_way: None }) };
        let mut sum = std::ptr::null_mut();
        // SAFETY: all live as long as the call; the other side fills in the sum, and throws nothing.
        said(|why, room| unsafe {
            let gang = group.gang.as_ptr();
            ffi::swath_gang_begin_sum(gang, numbers.as_ptr(), numbers.len(), &mut sum, why, room)
        })
        .map_err(gone)?;
        Ok(Sum { alone, under_way: NonNull::new(sum) })
    }

    /// What the first rank says, to all.
    pub fn hear(&mut self, said_by_first: Option<String>) -> Result<String> {
        let Some(group) = &self.group else { return Ok(said_by_first.unwrap_or_default()) };
        let name = ffi::text(&format!("words/{}", self.next_words))?;
        self.next_words += 1;
        if let Some(words) = said_by_first {
            // SAFETY: all live as long as the call, and the other side throws nothing.
            said(|why, room| unsafe {
                let (gang, name) = (group.gang.as_ptr(), name.as_ptr());
                ffi::swath_gang_tell(gang, name, words.as_ptr(), words.len(), why, room)
            })
            .map_err(gone)?;
            return Ok(words);
        }
        let mut words = Vec::new();
        // SAFETY: all live as long as the call; the other side calls `take` before it returns, and throws nothing.
        said(|why, room| unsafe {
            let (gang, name) = (group.gang.as_ptr(), name.as_ptr());
            ffi::swath_gang_hear(gang, name, ffi::take, (&raw mut words).cast(), why, room)
        })
        .map_err(gone)?;
        String::from_utf8(words).map_err(|_| ModelError::internal("the first rank has said no text"))
    }

    /// What the first rank's tensors hold, into those of all.
    pub(crate) fn hand_out(&self, tensors: &[&Tensor]) -> Result<()> {
        self.with(tensors, ffi::swath_gang_hand_out)
    }

    /// The mean over all ranks, into the tensors of each.
    pub(crate) fn average(&self, tensors: &[&Tensor]) -> Result<()> {
        self.with(tensors, ffi::swath_gang_average)
    }

    fn with(&self, tensors: &[&Tensor], ask: ffi::OfTensors) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        let pointers = ffi::pointers(tensors);
        // SAFETY: they are tensors that live as long as the call, and the other side throws nothing.
        said(|why, room| unsafe { ask(group.gang.as_ptr(), pointers.as_ptr(), pointers.len(), why, room) })
            .map_err(gone)
    }

    /// A batch norm by the images of all ranks, which takes part in the backward pass too; `None` where there is nobody
    /// else.
    pub(crate) fn norm(
        &self,
        input: &Tensor,
        norm: &Norm,
        (momentum, epsilon): (f64, f64),
    ) -> Result<Option<Tensor>> {
        let Some(group) = &self.group else { return Ok(None) };
        let pointers = ffi::pointers(&[input, &norm.gamma, &norm.beta, &norm.mean, &norm.variance]);
        let mut output = std::ptr::null_mut();
        // SAFETY: they are tensors that live as long as the call, the gang as long as the learner that goes backward
        // afterwards; the other side fills in a new tensor, and throws nothing.
        said(|why, room| unsafe {
            let gang = group.gang.as_ptr();
            let [input, gamma, beta, mean, variance] = [0, 1, 2, 3, 4].map(|at: usize| pointers[at]);
            ffi::swath_gang_norm(
                gang,
                input,
                gamma,
                beta,
                mean,
                variance,
                momentum,
                epsilon,
                &mut output,
                why,
                room,
            )
        })
        .map_err(|why| tch::TchError::Torch(format!("a batch norm of all ranks: {why}")))?;
        // SAFETY: a tensor that nobody else has.
        Ok(Some(unsafe { Tensor::from_ptr(output.cast()) }))
    }

    /// Sums the gradients of these parameters over all ranks, beside the rest of each backward pass; `None` where
    /// there is nobody else.
    pub(crate) fn reducer(&self, parameters: &[&Tensor]) -> Result<Option<Reducer>> {
        let Some(group) = &self.group else { return Ok(None) };
        let (pointers, mut reducer) = (ffi::pointers(parameters), std::ptr::null_mut());
        // SAFETY: as above; the other side fills in the reducer.
        said(|why, room| unsafe {
            let gang = group.gang.as_ptr();
            ffi::swath_gang_reducer(gang, pointers.as_ptr(), pointers.len(), &mut reducer, why, room)
        })
        .map_err(gone)?;
        Ok(NonNull::new(reducer).map(Reducer))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: made by `meet`, let go of once.
        unsafe { ffi::swath_gang_leave(self.gang.as_ptr()) }
    }
}

/// Numbers on their way to all ranks.
pub(crate) struct Sum {
    /// The sum, where there is nobody else.
    alone: f64,
    under_way: Option<NonNull<ffi::Sum>>,
}

impl Sum {
    pub(crate) fn end(self) -> Result<f64> {
        let mut number = [self.alone];
        self.end_into(&mut number)?;
        Ok(number[0])
    }

    /// As many as it was begun with.
    pub(crate) fn end_into(mut self, numbers: &mut [f64]) -> Result<()> {
        let Some(sum) = self.under_way.take() else { return Ok(()) };
        // SAFETY: it is ended once; the other side writes no more numbers than there is room for, and throws nothing.
        said(|why, room| unsafe {
            ffi::swath_gang_end_sum(sum.as_ptr(), numbers.as_mut_ptr(), numbers.len(), why, room)
        })
        .map_err(gone)
    }
}

impl Drop for Sum {
    fn drop(&mut self) {
        // Its tensor is in use until it is over.
        if let Some(sum) = self.under_way.take() {
            // SAFETY: as in `end_into`; nothing is written.
            let _ = said(|why, room| unsafe {
                ffi::swath_gang_end_sum(sum.as_ptr(), std::ptr::null_mut(), 0, why, room)
            });
        }
    }
}

/// PyTorch's own: gradients go out in buckets as soon as they are there.
pub(crate) struct Reducer(NonNull<ffi::Reducer>);

// SAFETY: as for groups.
unsafe impl Send for Reducer {}

/// Seconds for which gradients were on their way, and those of them in which nothing else was left to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overlap {
    pub summing_s: f64,
    pub exposed_s: f64,
}

impl Reducer {
    pub(crate) fn before_forward(&self) -> Result<()> {
        // SAFETY: it lives as long as this, and the other side throws nothing.
        said(|why, room| unsafe { ffi::swath_gang_before_forward(self.0.as_ptr(), why, room) }).map_err(gone)
    }

    pub(crate) fn before_backward(&self) -> Result<()> {
        // SAFETY: as above.
        said(|why, room| unsafe { ffi::swath_gang_before_backward(self.0.as_ptr(), why, room) }).map_err(gone)
    }

    pub(crate) fn overlap(&self) -> Overlap {
        let mut overlap = Overlap::default();
        // SAFETY: as above; the other side fills in both numbers.
        unsafe { ffi::swath_gang_overlap(self.0.as_ptr(), &mut overlap.summing_s, &mut overlap.exposed_s) };
        overlap
    }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // SAFETY: made by `Gang::reducer`, ended once.
        unsafe { ffi::swath_gang_reducer_end(self.0.as_ptr()) }
    }
}

/// Whatever fails between ranks: which of them is to blame is not told.
pub(crate) fn gone(why: impl Into<String>) -> ModelError {
    ModelError::new(Kind::Gang, why)
}
