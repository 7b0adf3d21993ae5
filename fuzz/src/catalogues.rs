//! STAC documents of others.

use swath_stac::read::Document;

use crate::Target;

pub(crate) const STAC: Target = Target {
    name: "stac",
    run: stac,
    samples: || SAMPLES.map(|text| text.as_bytes().to_vec()).into(),
    tokens: &[
        b"../",
        b"./",
        b"s3://",
        b"file://",
        b"https://",
        b"\"rel\"",
        b"\"href\"",
        b"\"label:type\"",
        b"stac_version",
    ],
};

const SAMPLES: [&str; 3] = [
    r#"{"id":"t","stac_version":"0.8.1","links":[{"rel":"child","href":"./acc/c.json"},{"rel":"item","href":"../1.json"}]}"#,
    r#"{"type":"Feature","id":"1","stac_version":"1.0.0","properties":{"datetime":"2019-01-01T00:00:00Z"},
       "assets":{"image":{"href":"./1.tif","type":"image/tiff","roles":["data"]},"thumbnail":{"href":"t.png"}}}"#,
    r#"{"type":"Feature","id":"1-labels","properties":{"label:type":"vector"},
       "links":[{"rel":"source","href":"../1/1.json"}],"assets":{"labels":{"href":"s3://b/1.geojson"}}}"#,
];

fn stac(bytes: &[u8]) {
    for place in ["/a/b/c.json", "s3://bucket/a/c.json"] {
        let item = match Document::read(bytes, place) {
            Ok(Document::Item(item)) => item,
            Ok(Document::Folder(folder)) => {
                let leads = folder.children.iter().chain(&folder.items);
                leads.for_each(|to| assert!(to.starts_with('/') || to.starts_with("s3://"), "{to}"));
                continue;
            }
            Err(_) => continue,
        };
        let _ = (item.image(None), item.image(Some("image")), item.labels());
    }
}
