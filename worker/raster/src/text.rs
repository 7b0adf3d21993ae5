//! A text that lies in a folder or in a bucket, to be read more than once.

use std::{
    fs::File,
    io::{BufReader, Read},
};

use crate::{
    error::{Kind, RasterError, Result},
    remote,
};

pub(crate) struct Text<'a> {
    uri: &'a str,
    /// Of one that lies in a bucket. A file is not held in memory: it may be long.
    fetched: Option<Vec<u8>>,
}

impl<'a> Text<'a> {
    pub(crate) fn open(uri: &'a str) -> Result<Self> {
        let fetched = remote::path(uri).map(|path| fetch(uri, path)).transpose()?;
        Ok(Self { uri, fetched })
    }

    pub(crate) fn reader(&self) -> Result<Box<dyn Read + '_>> {
        if let Some(text) = &self.fetched {
            return Ok(Box::new(text.as_slice()));
        }
        Ok(Box::new(BufReader::new(File::open(self.uri).map_err(|error| self.torn(error))?)))
    }

    pub(crate) fn torn(&self, error: std::io::Error) -> RasterError {
        RasterError::io(doing(self.uri), error)
    }
}

fn doing(uri: &str) -> String {
    format!("reading labels from {uri}")
}

fn fetch(uri: &str, path: String) -> Result<Vec<u8>> {
    let path = std::ffi::CString::new(path)
        .map_err(|_| RasterError::new(Kind::Missing, doing(uri), "its name holds a zero byte"))?;
    remote::reading(uri, || {
        let (mut data, mut length) = (std::ptr::null_mut(), 0);
        // SAFETY: on success GDAL hands over a buffer of `length` bytes, which is copied and freed.
        unsafe {
            gdal_sys::CPLErrorReset();
            if gdal_sys::VSIIngestFile(std::ptr::null_mut(), path.as_ptr(), &mut data, &mut length, -1) == 0 {
                let why =
                    std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()).to_string_lossy().into_owned();
                let why = if why.is_empty() { "it can't be opened".into() } else { why };
                return Err(RasterError::told(doing(uri), why));
            }
            let text = std::slice::from_raw_parts(data, length as usize).to_vec();
            gdal_sys::VSIFree(data.cast());
            Ok(text)
        }
    })
}
