//! What GDAL has to be told once a process.

/// Bounds what GDAL keeps, so that a worker's memory can be counted.
pub struct Settings {
    pub cache_mib: usize,
}

pub fn configure(settings: &Settings) {
    let bytes = (settings.cache_mib as i64) << 20;
    // SAFETY: plain setters.
    unsafe {
        gdal_sys::GDALSetCacheMax64(bytes);
        // Its messages come back as errors; printed beside our log they would only be doubled.
        gdal_sys::CPLSetErrorHandler(Some(gdal_sys::CPLQuietErrorHandler));
    }
    set("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR");
    set("VSI_CACHE", "FALSE");
    set("CPL_VSIL_CURL_CACHE_SIZE", "16777216");
    set("GDAL_HTTP_MAX_RETRY", "5");
    set("GDAL_HTTP_RETRY_DELAY", "0.5");
    // A server that says nothing any more is given up: whoever waits for it holds a thread.
    set("GDAL_HTTP_CONNECTTIMEOUT", "10");
    set("GDAL_HTTP_LOW_SPEED_TIME", "30");
    set("GDAL_HTTP_LOW_SPEED_LIMIT", "1");
    // The SDK and GDAL spell an endpoint of one's own in different ways.
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
        set("AWS_VIRTUAL_HOSTING", "FALSE");
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
