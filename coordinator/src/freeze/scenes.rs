//! Which scenes a pipeline names: one by one, by pattern, in a CSV file, or by a STAC catalogue.

use std::{collections::HashMap, path::Path};

use anyhow::{Context as _, bail};
use globset::GlobBuilder;
use swath_backends::outside::{Outside, s3_parts};
use swath_proto::{
    ids::SceneId,
    pipeline::{Group, Pipeline, SceneEntry},
};

use super::{read, resolve, stac};

/// A scene with its files, none of which was looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedScene {
    /// Where it was named: `scenes[0]`, `tiles.csv:12`.
    pub place: String,
    pub id: SceneId,
    pub images: Vec<String>,
    pub labels: Option<String>,
    pub aoi: Option<String>,
    pub group: Group,
}

/// What a folder is searched for, where a pattern does not say.
const IMAGE_ENDINGS: [&str; 7] = ["tif", "tiff", "vrt", "jp2", "png", "jpg", "jpeg"];

/// All scenes in the order of the file, those of a pattern in the order of their names.
pub(super) async fn name_all(
    pipeline: &Pipeline,
    folder: &Path,
    outside: &Outside,
) -> anyhow::Result<Vec<NamedScene>> {
    let mut scenes = Vec::new();
    for (at, entry) in pipeline.scenes.iter().enumerate() {
        let place = format!("scenes[{at}]");
        let named = match (&entry.image, &entry.images, &entry.csv, &entry.stac) {
            (Some(_), ..) => {
                let named = entry.each().into_iter().map(|entry| one(&entry, &place, folder));
                named.collect::<anyhow::Result<Vec<_>>>()?
            }
            (None, Some(pattern), ..) => {
                let files = matching(pattern, folder, outside).await;
                let files = files.with_context(|| format!("{place}.images = \"{pattern}\""))?;
                let named = files.into_iter().map(|file| by_pattern(entry, &file, &place, folder));
                named.collect::<anyhow::Result<Vec<_>>>()?
            }
            (None, None, Some(csv), _) => {
                let text = read(csv, folder, outside).await.with_context(|| format!("{place}.csv"))?;
                let uri = resolve(csv, folder)?;
                let beside = uri.rsplit_once('/').map_or("", |(folder, _)| folder);
                from_csv(csv, &text, beside, entry.group)?
            }
            (None, None, None, Some(catalogue)) => {
                let uri = resolve(catalogue, folder)?;
                let found = stac::find(&uri, &entry.items, entry.asset.as_deref(), outside).await;
                let found = found.with_context(|| format!("{place}.stac"))?;
                let named = found.into_iter().map(|found| by_item(entry, found, &place, folder));
                named.collect::<anyhow::Result<Vec<_>>>()?
            }
            (None, None, None, None) => bail!("{place}: names no image"),
        };
        scenes.extend(named);
    }
    told_apart(&scenes)?;
    Ok(scenes)
}

fn one(entry: &SceneEntry, place: &str, folder: &Path) -> anyhow::Result<NamedScene> {
    let images = entry.image.iter().flat_map(|image| image.as_slice());
    let images: Vec<String> = images.map(|image| resolve(image, folder)).collect::<anyhow::Result<_>>()?;
    let id = match &entry.id {
        Some(id) => id.clone(),
        None => stem(images.first().map_or("", String::as_str)).to_owned(),
    };
    let file = |file: &Option<String>| file.as_ref().map(|file| resolve(file, folder)).transpose();
    Ok(NamedScene {
        place: place.to_owned(),
        id: id.parse().with_context(|| format!("{place}: give it an id"))?,
        images,
        labels: file(&entry.labels)?,
        aoi: file(&entry.aoi)?,
        group: entry.group.unwrap_or(Group::of(entry.labels.is_some())),
    })
}

fn by_pattern(entry: &SceneEntry, image: &str, place: &str, folder: &Path) -> anyhow::Result<NamedScene> {
    let mut parts = image.rsplit('/');
    let name = stem(parts.next().unwrap_or_default());
    filled(entry, image, [name, parts.next().unwrap_or("")], place, folder)
}

/// An item of a catalogue has labels where another one says so, or where the pattern of the entry leads.
fn by_item(entry: &SceneEntry, found: stac::Found, place: &str, folder: &Path) -> anyhow::Result<NamedScene> {
    let named = filled(entry, &found.image, [&found.id, &found.folder], place, folder)?;
    let labels = named.labels.or(found.labels);
    let group = entry.group.unwrap_or(Group::of(labels.is_some()));
    if labels.is_none() && group != Group::Predict {
        bail!("{place}: a scene of the group {} needs labels, and {} has none", group.name(), found.id);
    }
    Ok(NamedScene { labels, group, ..named })
}

/// With {name} and {folder} of its patterns filled in.
fn filled(
    entry: &SceneEntry,
    image: &str,
    [name, inside]: [&str; 2],
    place: &str,
    folder: &Path,
) -> anyhow::Result<NamedScene> {
    let fill = |pattern: &str| pattern.replace("{name}", name).replace("{folder}", inside);
    let id = fill(entry.id.as_deref().unwrap_or("{name}"));
    let file = |pattern: &Option<String>| {
        pattern.as_ref().map(|pattern| resolve(&fill(&pattern.replace("{id}", &id)), folder)).transpose()
    };
    Ok(NamedScene {
        place: place.to_owned(),
        labels: file(&entry.labels)?,
        aoi: file(&entry.aoi)?,
        id: id.parse().with_context(|| format!("{place}: the name of {image}; give id another pattern"))?,
        images: vec![image.to_owned()],
        group: entry.group.unwrap_or(Group::of(entry.labels.is_some())),
    })
}

/// Files that a pattern names.
async fn matching(pattern: &str, folder: &Path, outside: &Outside) -> anyhow::Result<Vec<String>> {
    let is_folder = pattern.ends_with('/');
    let mut whole = resolve(pattern, folder)?;
    if is_folder && !whole.ends_with('/') {
        whole.push('/');
    }
    // Only what the pattern itself says is a pattern, not the folder that it lies in.
    let fixed_len = match s3_parts(pattern) {
        Some((bucket, _)) => "s3://".len() + bucket.len(),
        None => whole.len() - whole.len().min(pattern.len()),
    };
    let wild =
        whole.get(fixed_len..).and_then(|rest| rest.find(['*', '?', '[', '{'])).map(|at| at + fixed_len);
    let start = &whole[..whole[..wild.unwrap_or(whole.len())].rfind('/').map_or(0, |at| at + 1)];
    let rest = &whole[start.len()..];
    let deep = is_folder || rest.contains('/') || rest.contains("**");
    let files = outside.list(start, deep).await?;
    let glob = GlobBuilder::new(rest).literal_separator(true).build()?.compile_matcher();
    let fits = |file: &String| {
        let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_lowercase();
        match is_folder {
            true => IMAGE_ENDINGS.contains(&ending.as_str()),
            false => file.strip_prefix(start).is_some_and(|below| glob.is_match(below)),
        }
    };
    let files: Vec<String> = files.into_iter().filter(fits).collect();
    if files.is_empty() {
        bail!("no file fits {whole}");
    }
    Ok(files)
}

/// Scenes of a CSV file; all that is wrong with it is told at once.
fn from_csv(csv: &str, text: &[u8], beside: &str, default: Option<Group>) -> anyhow::Result<Vec<NamedScene>> {
    const COLUMNS: [&str; 5] = ["id", "image", "labels", "aoi", "group"];
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(text);
    let header = reader.headers().with_context(|| format!("{csv}:1"))?.clone();
    let header: Vec<&str> = header.iter().map(|column| column.trim_start_matches('\u{feff}')).collect();
    if let Some(wrong) = header.iter().find(|column| !COLUMNS.contains(column)) {
        bail!("{csv}:1: no column can be called '{wrong}'; there are {}", COLUMNS.join(", "));
    }
    if !header.contains(&"image") {
        bail!("{csv}:1: the column image is missing; the first line must name the columns");
    }
    let column = |name: &str| header.iter().position(|column| *column == name);
    let columns = COLUMNS.map(column);
    let mut scenes = Vec::new();
    let mut problems = Vec::new();
    for record in reader.records() {
        let named = record.map_err(anyhow::Error::from).and_then(|record| {
            let line = record.position().map_or(0, csv::Position::line);
            let [id, image, labels, aoi, group] =
                columns.map(|column| record.get(column?).filter(|cell| !cell.is_empty()));
            row(&format!("{csv}:{line}"), [id, image, labels, aoi, group], Path::new(beside), default)
        });
        match named {
            Ok(scene) => scenes.push(scene),
            Err(problem) => problems.push(format!("{problem:#}")),
        }
    }
    if !problems.is_empty() {
        bail!("{}", first_ten(&problems));
    }
    if scenes.is_empty() {
        bail!("{csv}: there is no scene in it");
    }
    Ok(scenes)
}

fn row(
    place: &str,
    [id, image, labels, aoi, group]: [Option<&str>; 5],
    beside: &Path,
    default: Option<Group>,
) -> anyhow::Result<NamedScene> {
    let image = image.with_context(|| format!("{place}: image is empty"))?;
    let group = match group {
        None => default.unwrap_or(Group::of(labels.is_some())),
        Some(word) => Group::ALL
            .into_iter()
            .find(|group| group.name() == word)
            .with_context(|| format!("{place}: group = '{word}': must be train, validation or predict"))?,
    };
    if labels.is_none() && group != Group::Predict {
        bail!("{place}: a scene of the group {} needs labels", group.name());
    }
    let images: Vec<String> = image
        .split(';')
        .map(str::trim)
        .filter(|image| !image.is_empty())
        .map(|image| resolve(image, beside))
        .collect::<anyhow::Result<_>>()?;
    let first = images.first().with_context(|| format!("{place}: image is empty"))?;
    let id = id.unwrap_or_else(|| stem(first));
    Ok(NamedScene {
        id: id.parse().with_context(|| place.to_owned())?,
        place: place.to_owned(),
        labels: labels.map(|labels| resolve(labels, beside)).transpose()?,
        aoi: aoi.map(|aoi| resolve(aoi, beside)).transpose()?,
        images,
        group,
    })
}

/// Ids are unique, and nothing is trained on that tells how good the result is.
fn told_apart(scenes: &[NamedScene]) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let mut by_id: HashMap<&SceneId, &NamedScene> = HashMap::new();
    let mut by_image: HashMap<&str, Vec<&NamedScene>> = HashMap::new();
    for scene in scenes {
        if let Some(first) = by_id.insert(&scene.id, scene) {
            let hint = match first.place == scene.place {
                true => "id = \"{folder}-{name}\" tells them apart",
                false => "give each an id of its own",
            };
            problems.push(format!(
                "scenes: two are called '{}' ({}, {}); {hint}",
                scene.id, first.place, scene.place
            ));
        }
        for image in &scene.images {
            by_image.entry(image).or_default().push(scene);
        }
    }
    let mut leaks: Vec<String> = Vec::new();
    for (image, scenes) in by_image {
        let of = |group| scenes.iter().find(|scene| scene.group == group);
        if let (Some(train), Some(validation)) = (of(Group::Train), of(Group::Validation)) {
            let (train, validation) = (&train.place, &validation.place);
            leaks.push(format!("{image} is in the group train ({train}) and in validation ({validation})"));
        }
    }
    leaks.sort();
    problems.extend(leaks);
    if problems.is_empty() { Ok(()) } else { bail!("{}", first_ten(&problems)) }
}

/// As many lines as one reads.
pub(super) fn first_ten(problems: &[String]) -> String {
    let mut lines: Vec<String> = problems.iter().take(10).cloned().collect();
    if problems.len() > 10 {
        lines.push(format!("and {} more", problems.len() - 10));
    }
    lines.join("\n")
}

fn stem(uri: &str) -> &str {
    let name = uri.rsplit('/').next().unwrap_or(uri);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
