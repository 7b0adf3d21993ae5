//! What the coordinator and a process that draws for it say to each other, through pipes: a picture that is asked for as its
//! length and JSON, an answer as its kind, its length and its bytes. Both ends are the same program.

use std::io::{self, Read};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use swath_coordinator::http::imagery::{Layer, Picture, Undrawn};
use swath_proto::{
    access::{Keys, Pass},
    geometry::RectPx,
    item::ClassStyle,
    scene::SceneHeader,
};

/// A mosaic may name very many files.
const MOST_BYTES: u32 = 256 << 20;
/// Of an answer: kind and length.
pub(super) const HEAD: usize = 5;

const DRAWN: u8 = 0;
const MISSING: u8 = 1;
const BAD: u8 = 2;
const FAILED: u8 = 3;

#[derive(Serialize, Deserialize)]
struct Asked {
    layer: Layer,
    scene: SceneHeader,
    rect: RectPx,
    level: u32,
    classes: Vec<ClassStyle>,
    null_class: u8,
    passes: Vec<Way>,
}

/// A [`Pass`] with its keys, which go through this pipe and nowhere else.
#[derive(Serialize, Deserialize)]
struct Way {
    prefix: String,
    endpoint: String,
    region: String,
    path_style: bool,
    requester_pays: bool,
    keys: Option<(String, String, Option<String>)>,
}

/// With its length before it.
pub(super) fn asked(picture: Picture) -> io::Result<Vec<u8>> {
    let Picture { layer, scene, rect, level, classes, null_class, passes } = picture;
    let way = |Pass { prefix, endpoint, region, path_style, requester_pays, keys }: Pass| Way {
        prefix,
        endpoint,
        region,
        path_style,
        requester_pays,
        keys: keys.map(|Keys { id, secret, token }| (id, secret, token)),
    };
    let passes = passes.into_iter().map(way).collect();
    let json = serde_json::to_vec(&Asked { layer, scene, rect, level, classes, null_class, passes })?;
    let len = u32::try_from(json.len()).ok().filter(|len| *len <= MOST_BYTES).ok_or_else(too_long)?;
    Ok([&len.to_le_bytes()[..], &json[..]].concat())
}

/// Waits for the next; an error is the end.
pub(super) fn next(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let mut json = vec![0; checked(u32::from_le_bytes(len))?];
    from.read_exact(&mut json)?;
    Ok(json)
}

pub(super) fn picture(json: &[u8]) -> serde_json::Result<Picture> {
    let Asked { layer, scene, rect, level, classes, null_class, passes } = serde_json::from_slice(json)?;
    let pass = |Way { prefix, endpoint, region, path_style, requester_pays, keys }: Way| Pass {
        prefix,
        endpoint,
        region,
        path_style,
        requester_pays,
        keys: keys.map(|(id, secret, token)| Keys { id, secret, token }),
    };
    let passes = passes.into_iter().map(pass).collect();
    Ok(Picture { layer, scene, rect, level, classes, null_class, passes })
}

/// With kind and length before it.
pub(super) fn answer(drawn: Result<Vec<u8>, Undrawn>) -> Vec<u8> {
    let (kind, body) = match drawn {
        Ok(png) => (DRAWN, png),
        Err(Undrawn::Missing(why)) => (MISSING, why.into_bytes()),
        Err(Undrawn::Bad(why)) => (BAD, why.into_bytes()),
        Err(Undrawn::Failed(why) | Undrawn::Lost(why)) => (FAILED, why.into_bytes()),
        // Nobody who draws says it.
        Err(left @ Undrawn::LeftAlone { .. }) => (FAILED, left.to_string().into_bytes()),
    };
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&[kind][..], &len.to_le_bytes()[..], &body[..]].concat()
}

/// Kind and length of what follows.
pub(super) fn head([kind, len @ ..]: [u8; HEAD]) -> io::Result<(u8, usize)> {
    Ok((kind, checked(u32::from_le_bytes(len))?))
}

/// The outer error is an answer that is none.
pub(super) fn answered(kind: u8, body: Vec<u8>) -> io::Result<Result<Bytes, Undrawn>> {
    if kind == DRAWN {
        return Ok(Ok(body.into()));
    }
    let why = String::from_utf8_lossy(&body).into_owned();
    match kind {
        MISSING => Ok(Err(Undrawn::Missing(why))),
        BAD => Ok(Err(Undrawn::Bad(why))),
        FAILED => Ok(Err(Undrawn::Failed(why))),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("its answer is of no kind: {kind}"))),
    }
}

fn checked(len: u32) -> io::Result<usize> {
    if len > MOST_BYTES { Err(too_long()) } else { Ok(len as usize) }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is too long")
}

#[cfg(test)]
mod tests {
    use swath_proto::{
        geometry::{SizePx, WindowPx},
        source::SourceSpec,
    };

    use super::*;

    fn wanted() -> Picture {
        let keys = Keys { id: "id".into(), secret: "secret".into(), token: Some("token".into()) };
        let pass = Pass {
            prefix: "s3://a".into(),
            endpoint: "https://host".into(),
            region: "eu".into(),
            path_style: true,
            requester_pays: false,
            keys: Some(keys),
        };
        let scene = SceneHeader {
            id: "s".parse().unwrap(),
            source: SourceSpec::default(),
            size: SizePx::new(600, 400),
            places: vec![WindowPx::new(-3, 0, 600, 400)],
            bands: 3,
            data_type: "Byte".into(),
            block: SizePx::new(256, 256),
            georeference: None,
            aoi: None,
        };
        Picture {
            layer: Layer::Prediction("s3://a/b.tif".into()),
            scene,
            rect: RectPx::new(256, 0, 256, 256),
            level: 1,
            classes: vec![ClassStyle { name: "one".into(), rgb: [1, 2, 3] }],
            null_class: 0,
            passes: vec![pass],
        }
    }

    #[test]
    fn what_is_asked_arrives_with_all_that_is_needed_to_draw_it() {
        let (sent, bytes) = (wanted(), asked(wanted()).unwrap());
        let twice = [bytes.clone(), bytes].concat();
        let mut pipe = &twice[..];
        for _ in 0..2 {
            let got = picture(&next(&mut pipe).unwrap()).unwrap();
            assert_eq!((got.rect, got.level, &got.scene), (sent.rect, 1, &sent.scene));
            assert_eq!((got.passes, got.classes), (sent.passes.clone(), sent.classes.clone()));
            assert!(matches!(got.layer, Layer::Prediction(file) if file == "s3://a/b.tif"));
        }
        assert!(next(&mut pipe).is_err(), "that was all");
        assert!(next(&mut &[255_u8, 255, 255, 255, 0][..]).is_err(), "longer than anything that is asked");
    }

    #[test]
    fn an_answer_says_what_it_is() {
        let got = |drawn: Result<Vec<u8>, Undrawn>| {
            let bytes = answer(drawn);
            let (kind, len) = head(bytes[..HEAD].try_into().unwrap()).unwrap();
            assert_eq!(len, bytes.len() - HEAD);
            answered(kind, bytes[HEAD..].to_vec()).unwrap()
        };
        assert_eq!(got(Ok(vec![1, 2])).unwrap(), vec![1, 2]);
        assert!(matches!(got(Err(Undrawn::Missing("m".into()))), Err(Undrawn::Missing(why)) if why == "m"));
        assert!(matches!(got(Err(Undrawn::Bad("b".into()))), Err(Undrawn::Bad(why)) if why == "b"));
        assert!(matches!(got(Err(Undrawn::Failed("f".into()))), Err(Undrawn::Failed(why)) if why == "f"));
        assert!(answered(9, Vec::new()).is_err());
    }
}
