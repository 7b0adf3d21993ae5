//! Scenes of a STAC catalogue: its documents are read level by level, many at a time.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, anyhow, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use globset::{Glob, GlobSet, GlobSetBuilder};
use swath_backends::outside::Outside;
use swath_stac::read::{Document, ForeignItem};

/// Documents that are asked for at a time: enough to hide a store's latency.
const AT_A_TIME: usize = 64;

/// An item that is an image, with its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Of the item.
    pub id: String,
    /// Of the catalogue or collection that it is in.
    pub folder: String,
    pub image: String,
    pub labels: Option<String>,
}

/// The images of a catalogue that fit one of the patterns, or all of them, in the order of the catalogue.
pub(super) async fn find(
    place: &str,
    wanted: &[String],
    asset: Option<&str>,
    outside: &Outside,
) -> anyhow::Result<Vec<Found>> {
    let wanted = patterns(wanted)?;
    let items = items(place, outside).await?;
    let mut labels: HashMap<&str, &str> = HashMap::new();
    for (_, item) in &items {
        for of in item.labels_of.iter().flatten() {
            labels.insert(of, item.labels().map_err(|why| anyhow!("{}: {why}", item.place))?);
        }
    }
    let mut found = Vec::new();
    for (folder, item) in items.iter().filter(|(_, item)| item.labels_of.is_none()) {
        let names = [item.id.clone(), format!("{folder}/{}", item.id)];
        if wanted.as_ref().is_some_and(|wanted| !names.iter().any(|name| wanted.is_match(name))) {
            continue;
        }
        let image = item.image(asset).map_err(|why| anyhow!("{}: {why}", item.place))?;
        found.push(Found {
            id: item.id.clone(),
            folder: folder.clone(),
            image: image.to_owned(),
            labels: labels.get(item.place.as_str()).map(|labels| (*labels).to_owned()),
        });
    }
    if found.is_empty() {
        bail!("{place}: none of its {} items is an image that is asked for", items.len());
    }
    Ok(found)
}

fn patterns(wanted: &[String]) -> anyhow::Result<Option<GlobSet>> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in wanted {
        set.add(Glob::new(pattern).with_context(|| format!("items: {pattern:?}"))?);
    }
    Ok(Some(set.build()?))
}

/// All items below a document, with the ids of what they are in.
async fn items(place: &str, outside: &Outside) -> anyhow::Result<Vec<(String, ForeignItem)>> {
    let mut seen = HashSet::from([place.to_owned()]);
    let mut items = Vec::new();
    let mut level = vec![(String::new(), place.to_owned())];
    while !level.is_empty() {
        let documents: Vec<(String, Document)> =
            futures::stream::iter(std::mem::take(&mut level))
                .map(|(folder, place)| async move {
                    Ok::<_, anyhow::Error>((folder, get(&place, outside).await?))
                })
                // In their order, so that the same catalogue is the same run.
                .buffered(AT_A_TIME)
                .try_collect()
                .await?;
        for (folder, document) in documents {
            match document {
                Document::Item(item) => items.push((folder, *item)),
                Document::Folder(inner) => {
                    let leads = inner.items.into_iter().chain(inner.children);
                    // Links may lead back.
                    level.extend(leads.filter(|to| seen.insert(to.clone())).map(|to| (inner.id.clone(), to)));
                }
            }
        }
    }
    Ok(items)
}

async fn get(place: &str, outside: &Outside) -> anyhow::Result<Document> {
    let text = outside.get(place).await.with_context(|| format!("reading {place}"))?;
    Document::read(&text, place).map_err(|why| anyhow!("{place}: {why}"))
}
