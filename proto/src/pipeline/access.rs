//! `[[access]]`: how files in buckets are reached.

use super::{Path, check::Check};
use crate::access::Access;

pub(super) fn check_all(all: &[Access], check: &mut Check<'_>) {
    for (at, access) in all.iter().enumerate() {
        let place = Path::from("access").index(at);
        if let Some((key, why)) = access.problem() {
            // A message shows the value; one with a password in it is told of without.
            match access.endpoint.as_ref().is_some_and(|endpoint| endpoint.contains('@')) {
                true => check.wrong(place, format!("{key} {why}")),
                false => check.wrong(place.key(key), why),
            }
        } else if let Some(twin) = all[..at].iter().position(|other| other.is_of(access)) {
            check.wrong(place.key("prefix"), format!("is that of access[{twin}] too"));
        }
    }
}
