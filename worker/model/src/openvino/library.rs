//! Finds OpenVINO and opens it, once a process. Nothing of it is linked.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use openvino::Core;

use crate::error::{Kind, ModelError, Result};

/// A folder that is looked into before all others.
const VARIABLE: &str = "SWATH_OPENVINO";
/// Its file's name goes on with a version.
const NAME: &str = "libopenvino_c.so";

/// OpenVINO's door. Settings are made on it, for whatever is compiled next: so it is for one at a time.
pub(super) fn core() -> Result<MutexGuard<'static, Core>> {
    static CORE: OnceLock<std::result::Result<Mutex<Core>, String>> = OnceLock::new();
    match CORE.get_or_init(open) {
        Ok(core) => Ok(core.lock().unwrap_or_else(PoisonError::into_inner)),
        Err(why) => Err(ModelError::new(Kind::Unfit, why.clone())),
    }
}

fn open() -> std::result::Result<Mutex<Core>, String> {
    let folders = folders();
    let library = folders.iter().find_map(|folder| library(folder)).ok_or_else(|| {
        let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        format!(
            "OpenVINO is not installed: no {NAME} in {}. Run `make setup`, or set {VARIABLE} to the folder that holds \
             it, or compute with engine = \"libtorch\" in [predict]",
            looked.join(", ")
        )
    })?;
    let failed = |why: String| format!("OpenVINO in {} can't be used: {why}", library.display());
    openvino_sys::library::load_from(library.clone()).map_err(failed)?;
    // Its plugins lie beside it.
    Core::new().map(Mutex::new).map_err(|error| failed(error.to_string()))
}

fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        return vec![folder.into()];
    }
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
    let beside = program.as_deref().and_then(Path::parent).map(|folder| folder.join("openvino"));
    beside.into_iter().chain([env!("SWATH_OPENVINO_DEFAULT").into()]).collect()
}

/// Of several versions the newest by name.
fn library(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(NAME))
    };
    files.filter(is_it).max()
}
