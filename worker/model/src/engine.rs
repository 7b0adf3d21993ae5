//! Which engine computes, and with which instructions: both can move bits.

/// As it is pinned in a run's numeric class.
pub fn engine() -> String {
    concat!("libtorch ", env!("SWATH_LIBTORCH_VERSION")).to_owned()
}

/// The widest instructions that the engine chooses here; it can be held back by its variables.
pub(crate) fn instruction_set() -> String {
    let found = if std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl")
    {
        "AVX512"
    } else if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        "AVX2"
    } else {
        "default"
    };
    let mut text = found.to_owned();
    for variable in ["ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"] {
        if let Ok(value) = std::env::var(variable) {
            text += &format!(" {variable}={value}");
        }
    }
    text
}
