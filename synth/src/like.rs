//! Small look-alikes of data sets of others: the same names, folders, bands, coordinate systems and kinds of labels, so
//! that what runs on one runs on the other. What they show is drawn, at its own scale.

/// A data set that others have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// ISPRS Potsdam: RGB and infrared, six classes as colours.
    Potsdam,
    /// Aerial tiles of LINZ: RGB and infrared, outlines of buildings.
    BuildingDetection,
    /// The Open Cities AI Challenge: RGB and alpha, outlines of buildings, STAC 0.8 catalogues.
    OpenCities,
}

/// A file of pixels to be written: a square of a drawn scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    pub path: String,
    /// Of the scene that it is cut from, and where.
    pub seed: u64,
    pub left: u32,
    pub top: u32,
    pub edge: u32,
    pub fourth: FourthBand,
    pub labels: Option<TileLabels>,
    /// Its coordinate system.
    pub crs: &'static str,
    /// Its upper left corner there.
    pub corner: [f64; 2],
    pub pixel_m: f64,
    /// The item of a catalogue that it is.
    pub item: Option<Item>,
}

/// What comes after red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FourthBand {
    Infrared,
    /// A corner of the tile has no data.
    Alpha,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TileLabels {
    /// A TIFF of what each pixel shows.
    Colors(String),
    /// GeoJSON of buildings, in longitude and latitude.
    Outlines(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The folder of its catalogue, and the collection that it is in.
    pub catalogue: &'static str,
    pub collection: Option<&'static str>,
    pub id: String,
}

impl Like {
    pub const ALL: [Self; 3] = [Self::Potsdam, Self::BuildingDetection, Self::OpenCities];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Potsdam => "potsdam",
            Self::BuildingDetection => "building-detection",
            Self::OpenCities => "open-cities",
        }
    }

    /// All files of pixels, from a seed on.
    pub fn tiles(self, seed: u64) -> Vec<Tile> {
        match self {
            Self::Potsdam => potsdam(seed),
            Self::BuildingDetection => building_detection(seed),
            Self::OpenCities => open_cities(seed),
        }
    }
}

/// The tiles that come with labels; each has 6000 x 6000 px there.
const POTSDAM: [&str; 23] = [
    "2_10", "2_11", "2_12", "3_10", "3_11", "3_12", "4_10", "4_11", "4_12", "5_10", "5_11", "5_12", "6_7",
    "6_9", "6_10", "6_11", "6_12", "7_7", "7_8", "7_9", "7_10", "7_11", "7_12",
];
const POTSDAM_PX: u32 = 800;

fn potsdam(seed: u64) -> Vec<Tile> {
    let tile = |(seed, id): (u64, &str)| {
        let (row, col) = id.split_once('_').unwrap_or((id, ""));
        let number = |text: &str| text.parse().unwrap_or(0.0);
        let edge_m = f64::from(POTSDAM_PX) * 0.05;
        Tile {
            path: format!("4_Ortho_RGBIR/top_potsdam_{id}_RGBIR.tif"),
            seed,
            left: 0,
            top: 0,
            edge: POTSDAM_PX,
            fourth: FourthBand::Infrared,
            labels: Some(TileLabels::Colors(format!("5_Labels_for_participants/top_potsdam_{id}_label.tif"))),
            crs: "EPSG:32633",
            corner: [366_000.0 + number(col) * edge_m, 5_808_000.0 - number(row) * edge_m],
            pixel_m: 0.05,
            item: None,
        }
    };
    (seed..).zip(POTSDAM).map(tile).collect()
}

const LINZ_PX: u32 = 1200;
const LINZ_PIXEL_M: f64 = 0.3;

/// Four tiles of one stretch of ground: buildings stand across the borders of those that are predicted.
fn building_detection(seed: u64) -> Vec<Tile> {
    let tiles = [
        ("BG32_5K_0707_TRAIN", 0, 0),
        ("BG32_5K_0708_TRAIN", 1, 0),
        ("BG32_5K_0807_VAL", 0, 1),
        ("BG32_5K_0808_VAL", 1, 1),
    ];
    let tile = |(id, col, row): (&str, u32, u32)| Tile {
        path: format!("images/{id}.tif"),
        seed,
        left: col * LINZ_PX,
        top: row * LINZ_PX,
        edge: LINZ_PX,
        fourth: FourthBand::Infrared,
        labels: Some(TileLabels::Outlines(format!("labels/{id}.geojson"))),
        crs: "EPSG:2193",
        corner: [
            1_756_000.0 + f64::from(col * LINZ_PX) * LINZ_PIXEL_M,
            5_920_000.0 - f64::from(row * LINZ_PX) * LINZ_PIXEL_M,
        ],
        pixel_m: LINZ_PIXEL_M,
        item: None,
    };
    tiles.map(tile).into()
}

/// Of tier 1 the scenes that the benchmark learns from, and those that it validates on: folder, two ids, system, corner.
const AREAS: [(&str, [&str; 2], &str, [f64; 2]); 4] = [
    ("mon", ["401175", "f15272"], "EPSG:32629", [300_000.0, 700_000.0]),
    ("acc", ["d41d81", "a42435"], "EPSG:32630", [810_000.0, 617_000.0]),
    ("dar", ["a017f9", "353093"], "EPSG:32737", [525_000.0, 9_249_000.0]),
    ("znz", ["75cdfa", "aee7fd"], "EPSG:32737", [528_000.0, 9_318_000.0]),
];
const AREA_PX: u32 = 1400;
/// A chip of the test set is as large as there; there are 11,481.
const CHIP_PX: u32 = 1024;
const CHIPS: u32 = 6;
pub const TRAIN_CATALOGUE: &str = "train_tier_1";
pub const TEST_CATALOGUE: &str = "test";

fn open_cities(seed: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for (area, ids, crs, [x, y]) in AREAS {
        for (nth, id) in (0_u32..).zip(ids) {
            tiles.push(Tile {
                path: format!("{TRAIN_CATALOGUE}/{area}/{id}/{id}.tif"),
                seed: seed + tiles.len() as u64,
                left: 0,
                top: 0,
                edge: AREA_PX,
                fourth: FourthBand::Alpha,
                labels: Some(TileLabels::Outlines(format!(
                    "{TRAIN_CATALOGUE}/{area}/{id}-labels/{id}.geojson"
                ))),
                crs,
                corner: [x + f64::from(nth * AREA_PX) * 0.3, y],
                pixel_m: 0.3,
                item: Some(Item { catalogue: TRAIN_CATALOGUE, collection: Some(area), id: id.to_owned() }),
            });
        }
    }
    for nth in 0..CHIPS {
        let id = format!("{:06x}", 0x00_1b2c + nth * 0x02_3a17);
        tiles.push(Tile {
            path: format!("{TEST_CATALOGUE}/{id}/{id}.tif"),
            seed: seed + tiles.len() as u64,
            left: 0,
            top: 0,
            edge: CHIP_PX,
            fourth: FourthBand::Alpha,
            labels: None,
            crs: "EPSG:32630",
            corner: [820_000.0 + f64::from(nth * CHIP_PX) * 0.3, 617_000.0],
            pixel_m: 0.3,
            item: Some(Item { catalogue: TEST_CATALOGUE, collection: None, id }),
        });
    }
    tiles
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn files_have_names_of_their_own_and_the_originals_names() {
        for like in Like::ALL {
            let tiles = like.tiles(1);
            let paths: HashSet<&str> = tiles.iter().map(|tile| tile.path.as_str()).collect();
            assert_eq!(paths.len(), tiles.len(), "{}", like.name());
        }
        let has = |like: Like, path: &str| like.tiles(1).iter().any(|tile| tile.path == path);
        assert!(has(Like::Potsdam, "4_Ortho_RGBIR/top_potsdam_6_12_RGBIR.tif"));
        assert!(has(Like::BuildingDetection, "images/BG32_5K_0708_TRAIN.tif"));
        assert!(has(Like::OpenCities, "train_tier_1/znz/aee7fd/aee7fd.tif"));
    }
}
