//! Files beside an image on this machine that say which of its pixels count and where they lie: GDAL reads them with
//! it, so that a change of theirs is one of the image. What viewers write while they look (`.aux.xml`, `.ovr`) is not
//! among them: whoever opens an image of a run that is under way changes nothing.

use std::path::{Path, PathBuf};

/// Where they would lie: a mask, and world files under all names that GDAL tries.
pub(crate) fn beside(image: &Path) -> Vec<PathBuf> {
    let mut mask = image.as_os_str().to_owned();
    mask.push(".msk");
    let endings = image.extension().and_then(|extension| extension.to_str()).map(world_files);
    let world_files = endings.into_iter().flatten().map(|ending| image.with_extension(ending));
    std::iter::once(mask.into()).chain(world_files).collect()
}

/// `tfw` and `tifw` of `tif`, and `wld` of all; in small letters and in capitals.
fn world_files(extension: &str) -> Vec<String> {
    let mut letters = extension.chars();
    let short = letters.next().zip(letters.next_back()).map(|(first, last)| format!("{first}{last}w"));
    let names = short.into_iter().chain([format!("{extension}w"), "wld".to_owned()]);
    names.flat_map(|name| [name.to_lowercase(), name.to_uppercase()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(image: &str) -> Vec<String> {
        beside(Path::new(image)).iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn they_are_named_after_the_image() {
        let of_tif = ["a.b.tif.msk", "a.b.tfw", "a.b.TFW", "a.b.tifw", "a.b.TIFW", "a.b.wld", "a.b.WLD"];
        assert_eq!(names("/s/a.b.tif"), of_tif.map(|name| format!("/s/{name}")));
        assert_eq!(names("A.JPG")[..3], ["A.JPG.msk", "A.jgw", "A.JGW"]);
        assert_eq!(names("image"), ["image.msk"]);
    }
}
