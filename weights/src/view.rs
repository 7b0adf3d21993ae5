//! A tensor within a file: where its storage lies, and how its elements lie in the storage.

use std::ops::Range;

use swath_zip::Source;

use crate::{
    dtype::Dtype,
    error::{Result, at_most, malformed},
    limits::MAX_RANK,
};

/// Elements read at a time.
const CHUNK: u64 = 1 << 18;

/// Shape and strides that have been held against the storage. Offsets and strides count elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    shape: Vec<u64>,
    stride: Vec<u64>,
    offset: u64,
    n_elements: u64,
    /// From the first element to behind the last, counted from the offset.
    span: u64,
}

impl Layout {
    /// `storage_len`: how many elements there are.
    pub(crate) fn check(
        shape: Vec<u64>,
        mut stride: Vec<u64>,
        offset: u64,
        storage_len: u64,
    ) -> Result<Self> {
        at_most(shape.len() as u64, MAX_RANK as u64, "dimensions")?;
        if shape.len() != stride.len() {
            return malformed(format!("{} dimensions with {} strides", shape.len(), stride.len()));
        }
        // The stride of an axis of length 1 is never used, and may be any number.
        stride.iter_mut().zip(&shape).filter(|(_, d)| **d == 1).for_each(|(s, _)| *s = 0);
        let (n_elements, span) = if shape.contains(&0) {
            (0, 0)
        } else {
            let n = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
            let last = shape.iter().zip(&stride).try_fold(0u64, |at, (&d, &s)| {
                (d - 1).checked_mul(s).and_then(|reach| at.checked_add(reach))
            });
            match n.zip(last.and_then(|last| last.checked_add(1))) {
                Some(both) => both,
                None => return malformed("a shape that overflows"),
            }
        };
        if offset.checked_add(span).is_none_or(|end| end > storage_len) {
            return malformed(format!("{span} elements from {offset} on in a storage of {storage_len}"));
        }
        Ok(Self { shape, stride, offset, n_elements, span })
    }

    pub(crate) fn contiguous(shape: Vec<u64>, storage_len: u64) -> Result<Self> {
        let mut stride = vec![1u64; shape.len()];
        for axis in (1..shape.len()).rev() {
            stride[axis - 1] = stride[axis].saturating_mul(shape[axis].max(1));
        }
        Self::check(shape, stride, 0, storage_len)
    }

    pub(crate) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Whether the elements lie in order without gaps.
    fn is_contiguous(&self) -> bool {
        self.n_elements == self.span && {
            let mut wanted = 1;
            self.shape.iter().zip(&self.stride).rev().filter(|(d, _)| **d != 1).all(|(&d, &s)| {
                let fits = s == wanted;
                wanted *= d;
                fits
            })
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) dtype: Dtype,
    layout: Layout,
    /// The storage, in bytes of the file.
    storage: Range<u64>,
}

impl View {
    pub(crate) fn new(dtype: Dtype, layout: Layout, storage: Range<u64>) -> Result<Self> {
        let len = storage.end.checked_sub(storage.start);
        let wanted = (layout.offset + layout.span).checked_mul(dtype.size() as u64);
        match len.zip(wanted) {
            Some((len, wanted)) if wanted <= len => Ok(Self { dtype, layout, storage }),
            _ => malformed("a storage that is shorter than its tensor"),
        }
    }

    pub(crate) fn shape(&self) -> &[u64] {
        self.layout.shape()
    }

    pub(crate) const fn n_elements(&self) -> u64 {
        self.layout.n_elements
    }

    /// Bytes of all elements; `None`: more than a number holds.
    pub(crate) const fn n_bytes(&self) -> Option<u64> {
        self.layout.n_elements.checked_mul(self.dtype.size() as u64)
    }

    /// Bytes of the file from the first element to the last; reading takes no more.
    pub(crate) const fn span_bytes(&self) -> u64 {
        self.layout.span.saturating_mul(self.dtype.size() as u64)
    }

    /// Hands all elements to `take`, in order, in pieces of whole elements.
    pub(crate) fn for_each_piece(
        &self,
        source: &Source,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let layout = &self.layout;
        if layout.n_elements == 0 {
            return Ok(());
        }
        let size = self.dtype.size() as u64;
        let first = self.storage.start + layout.offset * size;
        if layout.is_contiguous() {
            let end = first + layout.n_elements * size;
            for at in (first..end).step_by((CHUNK * size) as usize) {
                take(&source.read(at..end.min(at + CHUNK * size))?)?;
            }
            return Ok(());
        }
        let span = source.read(first..first + layout.span * size)?;
        self.gather(&span, size as usize, take)
    }

    /// Walks the axes like an odometer, the last one fastest.
    fn gather(&self, span: &[u8], size: usize, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Layout { shape, stride, n_elements, .. } = &self.layout;
        let mut index = vec![0u64; shape.len()];
        let mut at = 0u64;
        let mut piece = Vec::with_capacity((*n_elements).min(CHUNK) as usize * size);
        for _ in 0..*n_elements {
            let from = at as usize * size;
            piece.extend_from_slice(&span[from..from + size]);
            if piece.len() == CHUNK as usize * size {
                take(&piece)?;
                piece.clear();
            }
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += stride[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= stride[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        take(&piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(shape: &[u64], stride: &[u64], offset: u64) -> Vec<u8> {
        let source = Source::from((0..24).collect::<Vec<u8>>());
        let layout = Layout::check(shape.to_vec(), stride.to_vec(), offset, 24).unwrap();
        let view = View::new(Dtype::U8, layout, 0..24).unwrap();
        let mut all = Vec::new();
        view.for_each_piece(&source, |piece| {
            all.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn strides_are_followed() {
        assert_eq!(elements(&[2, 3], &[3, 1], 0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(elements(&[3, 2], &[1, 3], 0), [0, 3, 1, 4, 2, 5]);
        assert_eq!(elements(&[2, 2, 2], &[1, 12, 4], 3), [3, 7, 15, 19, 4, 8, 16, 20]);
        assert_eq!(elements(&[2, 3], &[0, 1], 7), [7, 8, 9, 7, 8, 9]);
        assert_eq!(elements(&[1, 3], &[999, 2], 0), [0, 2, 4]);
        assert_eq!(elements(&[], &[], 23), [23]);
        assert!(elements(&[4, 0], &[1, 1], 24).is_empty());
    }

    #[test]
    fn tensors_that_leave_their_storage_are_refused() {
        let max = u64::MAX;
        for (shape, stride, offset) in [
            (vec![25], vec![1], 0),
            (vec![24], vec![1], 1),
            (vec![], vec![], 24),
            (vec![2], vec![max], 0),
            (vec![2, 2], vec![max, 1], 0),
            (vec![max, max], vec![0, 0], 0),
            (vec![1], vec![1], max),
            (vec![0], vec![1], 25),
            (vec![2], vec![1, 1], 0),
            (vec![1; 33], vec![1; 33], 0),
        ] {
            assert!(Layout::check(shape.clone(), stride, offset, 24).is_err(), "{shape:?} at {offset}");
        }
    }
}
