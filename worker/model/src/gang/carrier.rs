//! What carries tensors between ranks: Gloo where they lie in a machine's memory, NCCL where they lie on cards. To make a
//! group of NCCL takes NVIDIA's headers, so a plugin does it, which is compiled apart (`make nccl-plugin`) and opened where
//! ranks compute on cards. Numbers of the processor's go by Gloo, or by shared memory, in every gang.

use std::{
    ffi::{CStr, c_char},
    mem::ManuallyDrop,
    path::{Path, PathBuf},
};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::ffi;
use crate::{
    error::{Kind, ModelError, Result},
    place::Place,
};

/// A folder that is looked into instead of all others.
const VARIABLE: &str = "SWATH_NCCL";
const NAME: &str = "libswath_nccl.so";

/// What gradients and weights are summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumsBy {
    Gloo,
    Nccl,
}

/// Of one rank; those of all must be of one kind. By default that of processors.
#[derive(Debug, Default)]
pub struct Carrier {
    pub(super) place: Place,
    pub(super) nccl: Option<ffi::NcclGroup>,
}

impl Carrier {
    /// For one of so many ranks, which computes there; of cards NCCL, unless something else is asked for. Opens the card, and
    /// the plugin where there are others: to be called before anything is asked of libtorch in this process.
    pub fn choose(asked: Option<SumsBy>, place: Place, size: u32) -> Result<Self> {
        let sums_by = chosen(asked, place)?;
        place.home()?;
        let nccl = match sums_by {
            SumsBy::Nccl if size > 1 => Some(plugin(&folders())?),
            SumsBy::Gloo | SumsBy::Nccl => None,
        };
        Ok(Self { place, nccl })
    }

    /// As ranks tell each other of it.
    pub(super) fn words(&self) -> &'static str {
        match (self.place, self.nccl) {
            (Place::Processor, _) => "the processor, and sums by Gloo",
            (Place::Card(_), None) => "a card, and sums by Gloo",
            (Place::Card(_), Some(_)) => "a card, and sums by NCCL",
        }
    }

    /// Below 0 where there is none.
    pub(super) fn card(&self) -> i32 {
        match self.place {
            Place::Processor => -1,
            Place::Card(card) => i32::try_from(card).unwrap_or(i32::MAX),
        }
    }
}

fn chosen(asked: Option<SumsBy>, place: Place) -> Result<SumsBy> {
    match (asked, place) {
        (Some(SumsBy::Nccl), Place::Processor) => Err(ModelError::config(
            "NCCL sums what lies on cards, and this rank computes on the processor: say --device cuda too, or leave \
             --sums-by nccl out",
        )),
        (Some(asked), _) => Ok(asked),
        (None, Place::Processor) => Ok(SumsBy::Gloo),
        (None, Place::Card(_)) => Ok(SumsBy::Nccl),
    }
}

fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        return vec![folder.into()];
    }
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
    let beside = program.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    beside.into_iter().chain([env!("SWATH_NCCL_DEFAULT").into()]).collect()
}

fn plugin(folders: &[PathBuf]) -> Result<ffi::NcclGroup> {
    let unfit = |why: String| ModelError::new(Kind::Unfit, why);
    let file = folders.iter().map(|folder| folder.join(NAME)).find(|file| file.exists()).ok_or_else(|| {
        let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        unfit(format!(
            "ranks on cards sum by NCCL, and its plugin is not installed: no {NAME} in {}. `make nccl-plugin` compiles \
             it; or set {VARIABLE} to the folder that holds it, or sum by Gloo, which goes through the machine's \
             memory: --sums-by gloo",
            looked.join(", ")
        ))
    })?;
    opened(&file).map_err(|why| unfit(format!("the NCCL plugin {} can't be used: {why}", file.display())))
}

type IsFor = unsafe extern "C" fn() -> *const c_char;

/// It stays open until the process ends.
fn opened(file: &Path) -> std::result::Result<ffi::NcclGroup, String> {
    let is_none = |error: libloading::Error| format!("it is no plugin of this program: {error}");
    // SAFETY: nothing runs when ours is opened; what another would do is up to who has put it there.
    let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }.map_err(is_none)?;
    let library = ManuallyDrop::new(library);
    // SAFETY: so are they declared in nccl/plugin.cpp.
    let (is_for, group) = unsafe {
        let is_for = *library.get::<IsFor>(b"swath_nccl_is_for\0").map_err(is_none)?;
        let group = *library.get::<ffi::NcclGroup>(b"swath_nccl_group\0").map_err(is_none)?;
        (is_for, group)
    };
    // SAFETY: both give words that end in a zero byte, for good.
    let (is_for, wanted) = unsafe { (words(is_for()), words(ffi::swath_gang_version())) };
    if is_for != wanted {
        return Err(format!("it was compiled for libtorch {is_for}, and this program takes {wanted}"));
    }
    Ok(group)
}

/// # Safety
/// `text` ends in a zero byte, and stays.
unsafe fn words(text: *const c_char) -> String {
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sums_goes_by_where_tensors_lie_and_by_what_is_asked_for() {
        let (processor, card) = (Place::Processor, Place::Card(1));
        for (asked, place, wanted) in [
            (None, processor, SumsBy::Gloo),
            (Some(SumsBy::Gloo), processor, SumsBy::Gloo),
            (None, card, SumsBy::Nccl),
            (Some(SumsBy::Nccl), card, SumsBy::Nccl),
            (Some(SumsBy::Gloo), card, SumsBy::Gloo),
        ] {
            assert_eq!(chosen(asked, place).unwrap(), wanted, "{asked:?} {place:?}");
        }
        let error = Carrier::choose(Some(SumsBy::Nccl), processor, 1).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert!(error.to_string().contains("this rank computes on the processor"), "{error}");
        assert_eq!(Carrier::choose(None, processor, 2).unwrap().words(), Carrier::default().words());
    }

    #[test]
    fn a_plugin_that_is_not_there_or_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = || {
            let error = plugin(&[folder.path().join("nowhere"), folder.path().to_path_buf()]).unwrap_err();
            assert_eq!(error.kind, Kind::Unfit);
            error.to_string()
        };
        let missing = told();
        let looked = format!("nowhere, {}. `make nccl-plugin`", folder.path().display());
        assert!(missing.contains(&looked) && missing.contains("--sums-by gloo"), "{missing}");
        let file = folder.path().join(NAME);
        std::fs::write(&file, "words").unwrap();
        let no_library = told();
        let name = format!("the NCCL plugin {} can't be used", file.display());
        assert!(
            no_library.starts_with(&name) && no_library.contains("no plugin of this program"),
            "{no_library}"
        );
        // Some library of this process.
        std::fs::remove_file(&file).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let other = maps.split_whitespace().find(|word| word.contains("/libc.so")).unwrap();
        std::os::unix::fs::symlink(other, &file).unwrap();
        let of_others = told();
        assert!(of_others.contains("swath_nccl_is_for"), "{of_others}");
    }
}
