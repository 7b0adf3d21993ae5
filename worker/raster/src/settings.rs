//! What GDAL has to be told once a process. How each bucket is reached is told file by file, in [`crate::remote`].

/// Bounds what GDAL keeps, so that a worker's memory can be counted.
pub struct Settings {
    pub cache_mib: usize,
}

/// In GDAL's words.
const OPTIONS: [(&str, &str); 12] = [
    // A folder may hold a million scenes: what may lie beside one of them is looked for by its name.
    ("GDAL_DISABLE_READDIR_ON_OPEN", "TRUE"),
    // A file's bytes are read once: what is decoded of them is in the block cache.
    ("VSI_CACHE", "FALSE"),
    // The usual amount, for all files together: bounded whatever a build of GDAL thinks is usual.
    ("CPL_VSIL_CURL_CACHE_SIZE", "16777216"),
    // The header of a scene of 30,000 px takes 100 to 200 KiB, which is one or two requests and not ten. Tiles
    // are not read by this: their own ranges are.
    ("CPL_VSIL_CURL_CHUNK_SIZE", "131072"),
    // The tiles of a rectangle: neighbours in one request, the others side by side. That is usual; a profile of
    // somebody else's must not change it.
    ("GDAL_HTTP_MULTIRANGE", "PARALLEL"),
    ("GDAL_HTTP_MERGE_CONSECUTIVE_RANGES", "YES"),
    // 429, 500 to 504 and broken connections, each pause about twice the last: 16 s in all. What lasts longer is
    // waited for with the item in hand.
    ("GDAL_HTTP_MAX_RETRY", "5"),
    ("GDAL_HTTP_RETRY_DELAY", "0.5"),
    // A server that says nothing any more is given up: whoever waits for it holds a thread.
    ("GDAL_HTTP_CONNECTTIMEOUT", "10"),
    ("GDAL_HTTP_LOW_SPEED_TIME", "30"),
    ("GDAL_HTTP_LOW_SPEED_LIMIT", "1"),
    // Between two items of one scene the connection stays.
    ("GDAL_HTTP_TCP_KEEPALIVE", "YES"),
];

pub fn configure(settings: &Settings) {
    let bytes = (settings.cache_mib as i64) << 20;
    // SAFETY: plain setters.
    unsafe {
        gdal_sys::GDALSetCacheMax64(bytes);
        // Its messages come back as errors; printed beside our log they would only be doubled.
        gdal_sys::CPLSetErrorHandler(Some(gdal_sys::CPLQuietErrorHandler));
    }
    OPTIONS.iter().for_each(|(option, value)| set(option, value));
    // For what lies in a VRT on this machine: nobody says of its files how they are reached. The SDK and GDAL spell an
    // endpoint of one's own in different ways.
    let endpoint =
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].into_iter().find_map(|name| std::env::var(name).ok());
    if let Some(endpoint) = endpoint {
        let (https, host) = match endpoint.split_once("://") {
            Some(("http", host)) => ("NO", host),
            Some((_, host)) => ("YES", host),
            None => ("YES", endpoint.as_str()),
        };
        set("AWS_HTTPS", https);
        set("AWS_S3_ENDPOINT", host.trim_end_matches('/'));
        if std::env::var_os("AWS_VIRTUAL_HOSTING").is_none() {
            set("AWS_VIRTUAL_HOSTING", "FALSE");
        }
    }
}

/// GDAL remembers what it has heard of a remote file for as long as the process lives, failures too: whoever
/// tries again has to make it ask again.
pub(crate) fn forget(path: &str) {
    if path.starts_with("/vsi")
        && let Ok(path) = std::ffi::CString::new(path)
    {
        // SAFETY: a plain call with a string that ends in a zero byte.
        unsafe { gdal_sys::VSICurlPartialClearCache(path.as_ptr()) };
    }
}

fn set(option: &str, value: &str) {
    // Names and values without a zero byte can't be refused.
    let _ = gdal::config::set_config_option(option, value);
}

pub fn version() -> String {
    format!("GDAL {}", gdal::version::VersionInfo::release_name())
}
