//! `torch.save` since PyTorch 1.6: a zip file of the pickle, one member for each storage, and words about
//! them, all below one folder.

use swath_zip::{Source, Zip};

use super::{pickle::unpickle, views};
use crate::{
    error::{Located, Problem, Result, at_most, malformed},
    limits::{MAX_PICKLE_LEN, ZIP},
    view::View,
};

const PICKLE: &str = "data.pkl";

pub(crate) fn read(source: &Source) -> Result<Vec<(String, View)>, Located> {
    let zip = Zip::open(source, ZIP)?;
    let folder = folder(&zip)?;
    let is_there = |member: &str| zip.contains(&format!("{folder}{member}"));
    if is_there("constants.pkl") || zip.names().any(|name| name.starts_with(&format!("{folder}code/"))) {
        return Err(Problem::TorchScript.into());
    }
    // PyTorch says so since 2.1; before, it wrote as the machine had it, which was little-endian.
    if is_there("byteorder") {
        let member = format!("{folder}byteorder");
        check_byte_order(source, &zip, &member).map_err(|problem| problem.within(&member))?;
    }
    let member = format!("{folder}{PICKLE}");
    let within = |problem: Problem| problem.within(&member);
    let range = zip.range(&member).map_err(Problem::from).map_err(within)?;
    at_most(range.end - range.start, MAX_PICKLE_LEN, "bytes of pickle").map_err(within)?;
    let pickle = source.read(range).map_err(Problem::from).map_err(within)?;
    let unpickled = unpickle(&pickle).map_err(within)?;
    views(&unpickled, Some(&member), |storage, n_bytes| {
        let member = format!("{folder}data/{}", storage.key);
        let range =
            zip.range(&member).map_err(Problem::from).and_then(|range| match range.end - range.start {
                len if len == n_bytes => Ok(range),
                len => malformed(format!("a storage of {n_bytes} bytes has {len}")),
            });
        range.map_err(|problem| problem.within(&member))
    })
}

fn check_byte_order(source: &Source, zip: &Zip<'_>, member: &str) -> Result<()> {
    const LONGEST: u64 = 16;
    let range = zip.range(member)?;
    match source.read(range.start..range.end.min(range.start + LONGEST))?.as_slice() {
        b"little" => Ok(()),
        b"big" => Err(Problem::BigEndian),
        _ => malformed("neither 'little' nor 'big'"),
    }
}

/// With its slash.
fn folder<'z>(zip: &'z Zip<'_>) -> Result<&'z str> {
    let mut pickles = zip.names().filter_map(|name| {
        let folder = name.strip_suffix(PICKLE)?;
        (folder.len() > 1 && folder.find('/') == Some(folder.len() - 1)).then_some(folder)
    });
    match (pickles.next(), pickles.next()) {
        (Some(folder), None) => Ok(folder),
        (None, _) => Err(Problem::NotWeights(
            "this is a zip file, but not by torch.save: it has no data.pkl in its folder",
        )),
        (Some(_), Some(_)) => malformed("two folders with a data.pkl"),
    }
}
