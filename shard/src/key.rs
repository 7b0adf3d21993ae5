//! Names of chips: `scene/x512_y-12_256x256`, and for a random window `..._d17` with its number in the
//! sequence, since two draws may fall on one place. A WebDataset ends a sample's name at the first
//! dot after the last slash: the scene, which may have dots, is a folder.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use swath_proto::{geometry::WindowPx, ids::SceneId};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ChipKey {
    pub scene: SceneId,
    pub window: WindowPx,
    /// The window's number among those that were drawn at random.
    pub draw: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no name of a chip: it should look like scene/x512_y-12_256x256")]
pub struct BadKey(String);

impl fmt::Display for ChipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WindowPx { col, row, width, height } = self.window;
        write!(f, "{}/x{col}_y{row}_{width}x{height}", self.scene)?;
        self.draw.map_or(Ok(()), |draw| write!(f, "_d{draw}"))
    }
}

impl FromStr for ChipKey {
    type Err = BadKey;

    fn from_str(s: &str) -> Result<Self, BadKey> {
        // Numbers have one spelling: `+1` or `01` would give one chip two names.
        parse(s).filter(|key| key.to_string() == s).ok_or_else(|| BadKey(s.chars().take(200).collect()))
    }
}

fn parse(s: &str) -> Option<ChipKey> {
    let (scene, place) = s.split_once('/')?;
    let mut parts = place.split('_');
    let col = parts.next()?.strip_prefix('x')?.parse().ok()?;
    let row = parts.next()?.strip_prefix('y')?.parse().ok()?;
    let (width, height) = parts.next()?.split_once('x')?;
    let draw = match parts.next() {
        Some(draw) => Some(draw.strip_prefix('d')?.parse().ok()?),
        None => None,
    };
    let window = WindowPx { col, row, width: width.parse().ok()?, height: height.parse().ok()? };
    parts.next().is_none().then_some(ChipKey { scene: scene.parse().ok()?, window, draw })
}

impl From<ChipKey> for String {
    fn from(key: ChipKey) -> String {
        key.to_string()
    }
}

impl TryFrom<String> for ChipKey {
    type Error = BadKey;
    fn try_from(s: String) -> Result<Self, BadKey> {
        s.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_has_one_spelling() {
        for good in ["a/x0_y0_1x1", "tile.2_b-c/x-12_y-9_300x256", "a_x1_y2/x5_y6_7x8_d18446744073709551615"]
        {
            assert_eq!(good.parse::<ChipKey>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "a",
            "a/",
            "/x0_y0_1x1",
            "../x0_y0_1x1",
            "a/b/x0_y0_1x1",
            "a/x0_y0_1x1_d",
            "a/x0_y0_1x1_d1_d2",
            "a/x+1_y0_1x1",
            "a/x01_y0_1x1",
            "a/x-0_y0_1x1",
            "a/x0_y0_-1x1",
            "a/x0_y0_1x1.png",
            "a/x99999999999999999999_y0_1x1",
            "a/x0_y0_4294967296x1",
        ] {
            assert!(bad.parse::<ChipKey>().is_err(), "{bad}");
        }
    }
}
