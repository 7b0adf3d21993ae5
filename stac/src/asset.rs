//! Files as catalogues describe them.

use serde_json::{Map, Value, json};
use swath_proto::{
    finished::{AssembledFile, FinishedFile},
    ids::Digest,
    item::ClassStyle,
};

use crate::link;

pub(crate) const COG: &str = "image/tiff; application=geotiff; profile=cloud-optimized";

/// An object under the root. It has a digest where somebody has computed one of its very bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub key: String,
    pub bytes: Option<u64>,
    pub sha256: Option<Digest>,
}

impl From<FinishedFile> for File {
    fn from(FinishedFile { key, bytes, sha256 }: FinishedFile) -> Self {
        Self { key, bytes: Some(bytes), sha256: Some(sha256) }
    }
}

impl From<AssembledFile> for File {
    fn from(AssembledFile { key, bytes }: AssembledFile) -> Self {
        Self { key, bytes: Some(bytes), sha256: None }
    }
}

impl File {
    /// `depth`: of the folder of the document that it is named in.
    pub(crate) fn asset(&self, depth: usize, title: &str, media: &str, role: &str) -> Map<String, Value> {
        let mut asset = Map::new();
        asset.insert("href".into(), link::up(depth, &self.key).into());
        asset.insert("title".into(), title.into());
        asset.insert("type".into(), media.into());
        asset.insert("roles".into(), json!([role]));
        if let Some(bytes) = self.bytes {
            asset.insert("file:size".into(), bytes.into());
        }
        if let Some(sha256) = &self.sha256 {
            asset.insert("file:checksum".into(), checksum(sha256).into());
        }
        asset
    }
}

/// Assets of files of polygons, by their names.
pub(crate) fn polygons(files: &[File], depth: usize, title: &str) -> impl Iterator<Item = (String, Value)> {
    files.iter().map(move |file| {
        let (name, media) = match file.key.rsplit_once('.') {
            Some((_, "parquet")) => ("polygons-parquet", "application/vnd.apache.parquet"),
            _ => ("polygons", link::GEOJSON),
        };
        (name.to_owned(), file.asset(depth, title, media, "data").into())
    })
}

/// As a multihash: SHA-256, 32 bytes of it.
pub(crate) fn checksum(sha256: &Digest) -> String {
    format!("1220{sha256}")
}

pub(crate) fn classes(classes: &[ClassStyle]) -> Value {
    let class = |(value, ClassStyle { name, rgb: [r, g, b] }): (usize, &ClassStyle)| {
        json!({
            "value": value,
            "name": machine_name(name, value),
            "title": name,
            "description": name,
            "color_hint": format!("{r:02X}{g:02X}{b:02X}"),
        })
    };
    classes.iter().enumerate().map(class).collect()
}

/// Letters, digits, `-` and `_`. The number keeps names apart that differ in other letters only.
fn machine_name(name: &str, value: usize) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{plain}-{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_a_multihash_and_only_there_where_bytes_were_seen() {
        let finished = FinishedFile { key: "a/b.tif".into(), bytes: 3, sha256: Digest::of(b"abc") };
        let asset = File::from(finished).asset(2, "A", COG, "data");
        assert_eq!(asset["href"], "../../a/b.tif");
        assert_eq!(
            asset["file:checksum"],
            "1220ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let assembled = AssembledFile { key: "a/b.tif".into(), bytes: 3 };
        let asset = File::from(assembled).asset(0, "A", COG, "data");
        assert_eq!((asset.get("file:checksum"), &asset["file:size"]), (None, &json!(3)));
    }

    #[test]
    fn classes_keep_their_names_and_colours() {
        let style = |name: &str, rgb| ClassStyle { name: name.into(), rgb };
        let classes = classes(&[style("building", [255, 136, 0]), style("Straße", [0, 1, 2])]);
        assert_eq!((&classes[0]["name"], &classes[0]["color_hint"]), (&json!("building"), &json!("FF8800")));
        assert_eq!((&classes[1]["name"], &classes[1]["title"]), (&json!("Stra_e-1"), &json!("Straße")));
    }
}
