//! Catalogues of others, of version 0.8 to 1.1: what a document leads to, which files an item has, and whose
//! labels it holds. Documents come as text, and links lead from one place to another; nobody is asked for them here.

use serde_json::Value;

/// What a document is.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A catalogue or collection.
    Folder(Folder),
    Item(Box<ForeignItem>),
}

/// A catalogue or collection, and the places of what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    pub id: String,
    /// Of catalogues and collections, in their order.
    pub children: Vec<String>,
    pub items: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignItem {
    pub id: String,
    /// Where it lies itself.
    pub place: String,
    pub assets: Vec<ForeignAsset>,
    /// It labels other items: those at these places.
    pub labels_of: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignAsset {
    pub key: String,
    pub place: String,
    /// Its media type, in small letters.
    pub kind: String,
    pub roles: Vec<String>,
}

impl Document {
    /// Reads the document that lies at a place; what it leads to is told as places, too.
    pub fn read(text: &[u8], place: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let id = match &json["id"] {
            Value::String(id) if !id.is_empty() => id.clone(),
            _ => return Err("it has no id: is it a STAC catalogue?".into()),
        };
        if let Some(version) = json["stac_version"].as_str()
            && !["0.8", "0.9", "1.0", "1.1"].iter().any(|known| version.starts_with(known))
        {
            return Err(format!("its STAC version is {version:?}; versions 0.8 to 1.1 can be read"));
        }
        let links = json["links"].as_array().map(Vec::as_slice).unwrap_or_default();
        let leads = |rel: &str| -> Result<Vec<String>, String> {
            let of = links.iter().filter(|link| link["rel"] == rel);
            of.map(|link| {
                let href = link["href"].as_str().ok_or_else(|| format!("a link {rel:?} has no href"))?;
                join(place, href)
            })
            .collect()
        };
        if json["type"] != "Feature" {
            let (children, items) = (leads("child")?, leads("item")?);
            return Ok(Self::Folder(Folder { id, children, items }));
        }
        let asset = |(key, asset): (&String, &Value)| {
            let href = asset["href"].as_str().ok_or_else(|| format!("its asset {key:?} has no href"))?;
            let roles = asset["roles"].as_array().map(Vec::as_slice).unwrap_or_default();
            Ok::<_, String>(ForeignAsset {
                key: key.clone(),
                place: join(place, href)?,
                kind: asset["type"].as_str().unwrap_or_default().to_lowercase(),
                roles: roles.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            })
        };
        let assets = json["assets"].as_object().into_iter().flatten().map(asset);
        let mut properties = json["properties"].as_object().into_iter().flatten();
        let is_label = properties.any(|(key, _)| key.starts_with("label:"));
        Ok(Self::Item(Box::new(ForeignItem {
            id,
            place: place.to_owned(),
            assets: assets.collect::<Result<_, String>>()?,
            labels_of: if is_label { Some(leads("source")?) } else { None },
        })))
    }
}

impl ForeignItem {
    /// The file of pixels: the asset that is named; where none is, "image", or the only raster.
    pub fn image(&self, wanted: Option<&str>) -> Result<&str, String> {
        let keys = || self.assets.iter().map(|asset| asset.key.as_str()).collect::<Vec<_>>().join(", ");
        let named = |key: &str| self.assets.iter().find(|asset| asset.key == key);
        if let Some(key) = wanted {
            let asset = named(key).ok_or_else(|| format!("it has no asset {key:?}; it has {}", keys()))?;
            return Ok(&asset.place);
        }
        let rasters: Vec<_> = self.assets.iter().filter(|asset| asset.is_raster()).collect();
        match (named("image"), rasters.as_slice()) {
            (Some(image), _) => Ok(&image.place),
            (None, [only]) => Ok(&only.place),
            (None, []) => Err(format!("none of its assets is a raster; it has {}", keys())),
            (None, _) => Err(format!("several of its assets are rasters; say which with asset: {}", keys())),
        }
    }

    /// The file of labels of a label item: "labels", or the only GeoJSON, or the only one.
    pub fn labels(&self) -> Result<&str, String> {
        let named = self.assets.iter().find(|asset| asset.key == "labels");
        let mut geojson = self.assets.iter().filter(|asset| asset.is_geojson());
        let only_geojson = geojson.next().filter(|_| geojson.next().is_none());
        let only = self.assets.first().filter(|_| self.assets.len() == 1);
        let one = named.or(only_geojson).or(only);
        let one = one.ok_or("it has labels, and none of its assets is called \"labels\"")?;
        Ok(&one.place)
    }
}

impl ForeignAsset {
    fn is_raster(&self) -> bool {
        const ENDINGS: [&str; 5] = [".tif", ".tiff", ".vrt", ".jp2", ".png"];
        let is_preview = self.roles.iter().any(|role| role == "thumbnail" || role == "overview");
        let name = self.place.to_lowercase();
        let is_image = self.kind.starts_with("image/tiff") || self.kind.starts_with("image/jp2");
        !is_preview && (is_image || ENDINGS.iter().any(|ending| name.ends_with(ending)))
    }

    fn is_geojson(&self) -> bool {
        let name = self.place.to_lowercase();
        self.kind.starts_with("application/geo+json") || name.ends_with(".geojson")
    }
}

/// Where a link of a document leads: an absolute path, or `s3://bucket/key`.
fn join(place: &str, href: &str) -> Result<String, String> {
    let href = href.strip_prefix("file://").unwrap_or(href);
    if href.starts_with("s3://") || href.starts_with('/') {
        return Ok(href.to_owned());
    }
    if href.contains("://") {
        return Err(format!(
            "{href:?} is neither a file here nor s3://bucket/key: copy it to one of these first"
        ));
    }
    let (start, path) = match place.strip_prefix("s3://") {
        Some(rest) => {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            (format!("s3://{bucket}"), key)
        }
        None => (String::new(), place.strip_prefix('/').unwrap_or(place)),
    };
    let mut parts: Vec<&str> = path.split('/').collect();
    // The document's own name.
    parts.pop();
    for part in href.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => {
                return Err(format!("{href:?} leads out of what holds {place}"));
            }
            ".." => {}
            part => parts.push(part),
        }
    }
    Ok(format!("{start}/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> ForeignItem {
        match Document::read(text.as_bytes(), "s3://b/t/acc/1/1.json") {
            Ok(Document::Item(item)) => *item,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn links_lead_from_a_documents_place() {
        for (place, href, wanted) in [
            ("/a/b/catalog.json", "./acc/collection.json", "/a/b/acc/collection.json"),
            ("/a/b/c/i.json", "../x.tif", "/a/b/x.tif"),
            ("s3://b/catalog.json", "acc/x.json", "s3://b/acc/x.json"),
            ("s3://b/p/q/i.json", "../../x.tif", "s3://b/x.tif"),
            ("/a/i.json", "s3://c/x.tif", "s3://c/x.tif"),
            ("/a/i.json", "/x/y.tif", "/x/y.tif"),
        ] {
            assert_eq!(join(place, href).as_deref(), Ok(wanted));
        }
        assert!(join("s3://b/i.json", "../../x").unwrap_err().contains("leads out"));
        assert!(join("/i.json", "https://h/x").unwrap_err().contains("copy it"));
    }

    #[test]
    fn catalogues_of_all_versions_lead_to_children_and_items() {
        for version in ["0.8.1", "0.9.0", "1.0.0", "1.1.0"] {
            let text = format!(
                "{{\"id\":\"c\",\"stac_version\":\"{version}\",\"links\":[{{\"rel\":\"child\",\"href\":\"./acc/c.json\"}},\
                 {{\"rel\":\"item\",\"href\":\"./1/1.json\"}},{{\"rel\":\"self\",\"href\":\"https://h/c.json\"}}]}}"
            );
            let folder = Folder {
                id: "c".into(),
                children: vec!["/t/acc/c.json".into()],
                items: vec!["/t/1/1.json".into()],
            };
            assert_eq!(Document::read(text.as_bytes(), "/t/c.json"), Ok(Document::Folder(folder)));
        }
        let told = |text: &str| Document::read(text.as_bytes(), "/t/c.json").unwrap_err();
        assert!(told("[").contains("no JSON") && told("{}").contains("no id"));
        assert!(told(r#"{"id":"c","stac_version":"0.6.0"}"#).contains("0.8 to 1.1"));
    }

    #[test]
    fn an_item_says_which_asset_is_the_image_and_a_label_item_whose_labels_it_has() {
        let image = item(
            r#"{"type":"Feature","id":"1","assets":{"thumb":{"href":"t.png","roles":["thumbnail"]},
                "cog":{"href":"./1.tif","type":"image/tiff; application=geotiff"}}}"#,
        );
        assert_eq!(image.image(None), Ok("s3://b/t/acc/1/1.tif"));
        assert_eq!(image.image(Some("thumb")), Ok("s3://b/t/acc/1/t.png"));
        assert!(image.image(Some("x")).unwrap_err().contains("it has cog, thumb"));
        assert_eq!(image.labels_of, None);
        let labels = item(
            r#"{"type":"Feature","id":"1-labels","properties":{"label:type":"vector"},
                "links":[{"rel":"source","href":"../1/1.json"}],"assets":{"labels":{"href":"1.geojson"}}}"#,
        );
        assert_eq!(labels.labels_of, Some(vec!["s3://b/t/acc/1/1.json".into()]));
        assert_eq!(labels.labels(), Ok("s3://b/t/acc/1/1.geojson"));
    }
}
