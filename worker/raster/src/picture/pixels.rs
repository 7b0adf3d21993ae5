//! Pixels of a scene's files in a small picture, and the PNG that they become.

use swath_geo::pyramid::level_size;
use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    scene::SceneHeader,
};

use crate::{Raster, RasterError, Reduction};

pub type Rgba = [u8; 4];

pub const CLEAR: Rgba = [0; 4];
/// Of the longer edge of the picture that says how bright a scene is.
const OVERVIEW_PX: u32 = 256;

pub const fn opaque([red, green, blue]: [u8; 3]) -> Rgba {
    [red, green, blue, 255]
}

/// Red, green and blue of each pixel as the file has them, and which pixels a file has.
pub struct Drawn {
    values: Vec<f32>,
    is_there: Vec<bool>,
}

impl Drawn {
    /// What lies in the ranges becomes 0 to 255.
    pub fn shade(&self, ranges: [(f32, f32); 3]) -> Vec<Rgba> {
        let tone = |value: f32, (low, high): (f32, f32)| {
            (255.0 * (value - low) / (high - low).max(f32::MIN_POSITIVE)).round() as u8
        };
        let pixels = self.values.as_chunks::<3>().0.iter().zip(&self.is_there);
        let pixel = |([red, green, blue], is_there): (&[f32; 3], &bool)| match is_there {
            true => opaque([tone(*red, ranges[0]), tone(*green, ranges[1]), tone(*blue, ranges[2])]),
            false => CLEAR,
        };
        pixels.map(pixel).collect()
    }

    /// What most values of each band lie in.
    pub fn ranges(&self) -> [(f32, f32); 3] {
        [0, 1, 2].map(|band| {
            let pixels = self.values.chunks_exact(3).zip(&self.is_there).filter(|(_, is_there)| **is_there);
            range(pixels.map(|(pixel, _)| pixel[band]))
        })
    }
}

/// A part of a scene, from the overviews of its files where they have any. Later files lie over earlier ones.
pub fn read(scene: &SceneHeader, rect: RectPx, level: u32) -> Result<Drawn, RasterError> {
    let size = level_size(rect.size(), level);
    let n = size.pixels() as usize;
    let mut drawn = Drawn { values: vec![0.0; n * 3], is_there: vec![false; n] };
    let bands = bands(scene);
    for (file, place) in scene.source.files.iter().zip(&scene.places) {
        let Some(part) = overlap(rect, *place) else { continue };
        let raster = Raster::open(&file.uri)?;
        let Some(of_file) = in_file(part, *place, raster.size()) else { continue };
        let onto = onto(part, rect, level);
        let values = raster.read_part_reduced(of_file, onto.size(), &bands, Reduction::Mean)?;
        for (row, line) in (onto.row..).zip(values.chunks_exact(onto.width as usize * 3)) {
            let at = row as usize * size.width as usize + onto.col as usize;
            drawn.values[at * 3..at * 3 + line.len()].copy_from_slice(line);
            drawn.is_there[at..at + onto.width as usize].fill(true);
        }
    }
    Ok(drawn)
}

/// Three bands as red, green and blue; of fewer, the first in grey. Counted from 1, as GDAL does.
fn bands(scene: &SceneHeader) -> [usize; 3] {
    let bands = match scene.source.bands.as_slice() {
        [red, green, blue, ..] => [*red, *green, *blue],
        [one, ..] => [*one; 3],
        [] if scene.bands >= 3 => [0, 1, 2],
        [] => [0; 3],
    };
    bands.map(|band| band as usize + 1)
}

/// The part of a rectangle on which a file lies.
fn overlap(rect: RectPx, place: WindowPx) -> Option<RectPx> {
    let along = |from: u32, to: u32, at: i64, length: u32| {
        let (from, to) = (i64::from(from).max(at), i64::from(to).min(at + i64::from(length)));
        (from < to).then(|| (from as u32, (to - from) as u32))
    };
    let (col, width) = along(rect.col, rect.right(), place.col, place.width)?;
    let (row, height) = along(rect.row, rect.bottom(), place.row, place.height)?;
    Some(RectPx::new(col, row, width, height))
}

/// The same part in the file's own pixels; none where the file is another than it was.
fn in_file(part: RectPx, place: WindowPx, size: SizePx) -> Option<RectPx> {
    let (col, row) = (i64::from(part.col) - place.col, i64::from(part.row) - place.row);
    (place.size() == size).then(|| RectPx::new(col as u32, row as u32, part.width, part.height))
}

/// The pixels of the picture that a part touches.
fn onto(part: RectPx, rect: RectPx, level: u32) -> RectPx {
    let along = |from: u32, length: u32| {
        let to = (u64::from(from) + u64::from(length)).div_ceil(1 << level) as u32;
        (from >> level, to - (from >> level))
    };
    let (col, width) = along(part.col - rect.col, part.width);
    let (row, height) = along(part.row - rect.row, part.height);
    RectPx::new(col, row, width, height)
}

/// What most values of each band lie in.
pub fn ranges(scene: &SceneHeader) -> Result<[(f32, f32); 3], RasterError> {
    let fits = |level: &u32| {
        let size = level_size(scene.size, *level);
        size.width.max(size.height) <= OVERVIEW_PX
    };
    let level = (0..32).find(fits).unwrap_or(31);
    let whole = RectPx::new(0, 0, scene.size.width, scene.size.height);
    Ok(read(scene, whole, level)?.ranges())
}

/// The outermost fiftieths are left out.
fn range(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let mut values: Vec<f32> = values.filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return (0.0, 1.0);
    }
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len() - 1;
    (values[last / 50], values[last - last / 50])
}

/// From unsure to sure, over dark blue, green and yellow: told apart by all eyes.
pub fn heat(value: f32) -> Rgba {
    const STOPS: [[f32; 3]; 5] = [
        [68.0, 1.0, 84.0],
        [59.0, 82.0, 139.0],
        [33.0, 145.0, 140.0],
        [94.0, 201.0, 98.0],
        [253.0, 231.0, 37.0],
    ];
    let at = (value / 255.0).clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let below = (at as usize).min(STOPS.len() - 2);
    let part = at - below as f32;
    let tone = |of: usize| (STOPS[below][of] * (1.0 - part) + STOPS[below + 1][of] * part).round() as u8;
    opaque([tone(0), tone(1), tone(2)])
}

pub fn png(size: SizePx, rgba: &[Rgba]) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, size.width, size.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgba.as_flattened())?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_mosaic_is_drawn_where_it_lies() {
        let rect = RectPx::new(1024, 0, 512, 512);
        let place = WindowPx::new(1300, -100, 400, 300);
        let part = overlap(rect, place).unwrap();
        assert_eq!(part, RectPx::new(1300, 0, 236, 200));
        assert_eq!(in_file(part, place, place.size()), Some(RectPx::new(0, 100, 236, 200)));
        assert_eq!(in_file(part, place, SizePx::new(1, 1)), None, "another file by now");
        assert_eq!(onto(part, rect, 1), RectPx::new(138, 0, 118, 100));
        assert_eq!(onto(RectPx::new(1027, 3, 2, 2), rect, 2), RectPx::new(0, 0, 2, 2));
        assert_eq!(overlap(rect, WindowPx::new(1536, 0, 10, 10)), None);
    }

    #[test]
    fn gaps_are_clear_and_the_rest_is_as_bright_as_its_range_says() {
        let drawn = Drawn { values: vec![0.0, 50.0, 200.0, 9.0, 9.0, 9.0], is_there: vec![true, false] };
        assert_eq!(drawn.shade([(0.0, 100.0); 3]), [[0, 128, 255, 255], CLEAR]);
    }

    #[test]
    fn a_picture_reads_back_with_its_cover() {
        let png = png(SizePx::new(2, 1), &[opaque([1, 2, 3]), CLEAR]).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; 8];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [1, 2, 3, 255, 0, 0, 0, 0]);
        assert_eq!((heat(0.0), heat(255.0)), ([68, 1, 84, 255], [253, 231, 37, 255]));
    }
}
