//! Says where OpenVINO and the NCCL plugin lie, which are opened at run time. Tells the linker where libtorch lies, and hands the folder on
//! (`DEP_SWATH_MODEL_LIBTORCH`), so that programs start without `LD_LIBRARY_PATH`. torch-sys checks no version of a
//! libtorch that it was pointed at, so that is done here.

use std::path::Path;

const WANTED: &str = "2.11.0";
const OPENVINO: &str = "2026.4.1";
/// Changes with the plugin; `setup/install` says it too.
const NCCL_PLUGIN: &str = "1";
const CPP: [&str; 8] = [
    "src/torch/library.cpp",
    "src/learner/autocast.cpp",
    "src/learner/gradient.cpp",
    "src/learner/optimizer.cpp",
    "src/gang/gang.cpp",
    "src/gang/norm.cpp",
    "src/gang/shared.cpp",
    "src/winograd/layer.cpp",
];
/// Compiled for each set of instructions, whatever this machine has.
const KERNEL: &str = "src/winograd/kernel.cpp";
const INSTRUCTIONS: [(&str, &[&str]); 2] =
    [("avx512", &["-mavx512f", "-mfma"]), ("avx2", &["-mavx2", "-mfma", "-mno-avx512f"])];
/// Headers among them.
const CPP_FOLDERS: [&str; 3] = ["src/cpp", "src/gang", "src/winograd"];

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    for file in CPP.iter().chain(&CPP_FOLDERS) {
        println!("cargo:rerun-if-changed={file}");
    }
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        panic!(
            "libtorch was not found: run `make setup`, then `eval \"$(setup/env)\"` where you call cargo yourself"
        );
    };
    let home = Path::new(&lib).parent().unwrap_or(Path::new("/"));
    println!("cargo:rerun-if-changed={}", home.join("version.py").display());
    let version = version(home).unwrap_or_else(|| "an unknown version".into());
    assert!(
        version.split('+').next() == Some(WANTED),
        "libtorch {WANTED} is needed, {lib} holds {version}: run `make setup`"
    );
    println!("cargo:rustc-env=SWATH_LIBTORCH_VERSION={WANTED}");
    // `setup/install` puts all of them into one folder.
    let folder = home.ancestors().nth(2).unwrap_or(Path::new("/"));
    let openvino = folder.join(format!("openvino-{OPENVINO}/openvino/libs"));
    println!("cargo:rustc-env=SWATH_OPENVINO_DEFAULT={}", openvino.display());
    let nccl = folder.join(format!("nccl-plugin-{NCCL_PLUGIN}"));
    println!("cargo:rustc-env=SWATH_NCCL_DEFAULT={}", nccl.display());
    println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{lib}");
    println!("cargo:libtorch={lib}");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        // Before PyTorch's: what its wheel leaves out of Gloo's.
        .include("src/gang")
        .include(home.join("include"))
        .include(home.join("include/torch/csrc/api/include"))
        .define("USE_C10D", None)
        .define("USE_C10D_GLOO", None)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        // PyTorch's `parallel_for` goes by it, and the library comes with PyTorch.
        .flag("-fopenmp")
        .files(CPP)
        .compile("swath_engine");
    for (name, flags) in INSTRUCTIONS {
        // What takes the time of a training is fast in a program for development too.
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").cpp_link_stdlib(None).opt_level(3).debug(false);
        build.flags(flags).file(KERNEL).compile(&format!("swath_winograd_{name}"));
    }
    println!("cargo:rustc-link-search=native={lib}");
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
}

/// `__version__ = '2.11.0+cu130'` beside the libraries.
fn version(home: &Path) -> Option<String> {
    let text = std::fs::read_to_string(home.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    Some(line.split('\'').nth(1)?.to_owned())
}
