//! On what a network learns.

use crate::{error::Result, network::Home, torch::learns_on};

/// Where a learner has its tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Processor,
    /// The card of this number, of those that this process sees.
    Card(u32),
}

impl Place {
    /// An error where there is no such card to compute on. To be called before anything is asked of libtorch in this
    /// process: it looks for cards once.
    pub(crate) fn home(self) -> Result<Home> {
        match self {
            Self::Processor => Ok(Home::PROCESSOR),
            Self::Card(card) => learns_on(card),
        }
    }
}
