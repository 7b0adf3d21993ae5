//! One look at jobs: those that were submitted are described in hundreds, each time with the children of the arrays among
//! them. What is over is remembered hundred by hundred, so that a look that is cut off has not been for nothing.

use std::collections::{BTreeMap, HashMap};

use anyhow::anyhow;
use aws_sdk_batch::types::JobDetail;
use jiff::Timestamp;

use super::{
    jobs::{Listed, MOST_DESCRIBED, Seen},
    provider::Server,
};
use crate::fleet::provider::{ErrorKind, ProviderError};

/// A job that was submitted: plain, or an array with its children.
pub(super) struct Known {
    n: u32,
    is_array: bool,
    /// By the index of a child; a plain job is its own and only one.
    over: BTreeMap<u32, Seen>,
}

impl Known {
    pub(super) fn is_over(&self) -> bool {
        self.over.len() >= self.n as usize
    }
}

pub(super) struct Look<'a> {
    listed: &'a BTreeMap<String, Listed>,
    known: &'a mut HashMap<String, Known>,
    /// Not over yet.
    goes_on: Vec<Seen>,
    now: Timestamp,
}

impl<'a> Look<'a> {
    pub(super) fn new(listed: &'a BTreeMap<String, Listed>, known: &'a mut HashMap<String, Known>) -> Self {
        Self { listed, known, goes_on: Vec::new(), now: Timestamp::now() }
    }

    /// Wholly, and remembered as such.
    pub(super) fn is_over(&self, id: &str) -> bool {
        self.known.get(id).is_some_and(Known::is_over)
    }

    /// All that there is, also what an earlier look has seen of jobs that are over.
    pub(super) fn seen(self) -> Vec<Seen> {
        let over = self.known.values().flat_map(|known| known.over.values().cloned());
        self.goes_on.into_iter().chain(over).collect()
    }

    /// An array's children that are not known to be over.
    fn children(&mut self, id: &str, told: &JobDetail) -> Option<Vec<u32>> {
        let n = told.array_properties.as_ref().and_then(|array| u32::try_from(array.size?).ok());
        let n = n.filter(|n| *n > 0);
        let known = self.known.entry(id.to_owned()).or_insert_with(|| Known {
            n: n.unwrap_or(1),
            is_array: n.is_some(),
            over: BTreeMap::new(),
        });
        known.is_array.then(|| (0..known.n).filter(|index| !known.over.contains_key(index)).collect())
    }

    fn take(&mut self, id: &str, index: u32, own: String, told: &JobDetail) {
        let (Some(listed), Some(known)) = (self.listed.get(id), self.known.get_mut(id)) else { return };
        let one = Seen::of(told, &listed.named, own, self.now);
        if one.state.is_over() {
            known.over.insert(index, one);
        } else {
            self.goes_on.push(one);
        }
    }
}

impl Server {
    /// Looks at `most` jobs, those that were submitted alone and children of arrays, or a few more; `false`: that was not
    /// enough. An array does not count: however many there are, each look gets on by some children.
    pub(super) async fn look(
        &self,
        ids: &[String],
        most: usize,
        look: &mut Look<'_>,
    ) -> Result<bool, ProviderError> {
        let mut left = most;
        for ids in ids.chunks(MOST_DESCRIBED) {
            if left == 0 {
                return Ok(false);
            }
            let (mut arrays, mut children) = (HashMap::new(), Vec::new());
            let mut told = self.described(ids).await?;
            for id in ids {
                let Some(job) = told.remove(id) else {
                    let why = anyhow!("the job {id} is listed and not described yet");
                    return Err(ProviderError::new(ErrorKind::Away, "looking at jobs", "", why));
                };
                match look.children(id, &job) {
                    None => {
                        look.take(id, 0, id.clone(), &job);
                        left = left.saturating_sub(1);
                    }
                    Some(indexes) => {
                        children.extend(indexes.into_iter().map(|index| (id, index)));
                        arrays.insert(id, job);
                    }
                }
            }
            for some in children.chunks(MOST_DESCRIBED) {
                if left == 0 {
                    return Ok(false);
                }
                left = left.saturating_sub(some.len());
                let own: Vec<String> = some.iter().map(|(id, index)| format!("{id}:{index}")).collect();
                let told = self.described(&own).await?;
                for ((id, index), own) in some.iter().zip(own) {
                    // A child that is not there yet stands where its array does.
                    if let Some(job) = told.get(&own).or_else(|| arrays.get(id)) {
                        look.take(id, *index, own, job);
                    }
                }
            }
        }
        Ok(true)
    }
}
