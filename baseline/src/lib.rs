//! What colour alone can do: a pixel's class from its own values and its eight neighbours', by logistic
//! regression. A network that has learnt shapes must do clearly better than this on the same chips.
//!
//! Read in this order: [`patch`] is what is looked at, [`sample`] which pixels of the chips are learnt from,
//! [`logistic`] tells one class from all others, [`colours`] tells them all apart. Nothing here performs IO
//! or draws at random: the same chips give the same numbers.

mod cholesky;
pub mod colours;
pub mod logistic;
pub mod patch;
pub mod sample;

pub use colours::Colours;
pub use patch::Plane;
pub use sample::Sample;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBaseline {
    #[error("{values} values and {labels} labels are no image of {width} x {height} px with {bands} bands")]
    Lengths { values: usize, labels: usize, width: usize, height: usize, bands: usize },
    #[error("an image of {got} bands among others of {wanted}")]
    Bands { got: usize, wanted: usize },
    #[error("no pixel of class {0} is among those that are learnt from, or no other")]
    OneClass(u8),
    #[error("there is nothing to tell apart: pixels are to have two classes at least")]
    Nothing,
}
