//! Pixels in memory, in the type that their file has.

use gdal_sys::GDALDataType;
use swath_geo::stats;

/// Pixels row by row, their bands side by side.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    U8(Vec<u8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Does the same with pixels of any type.
macro_rules! with_values {
    ($pixels:expr, $values:ident => $body:expr) => {
        match $pixels {
            $crate::pixels::Pixels::U8($values) => $body,
            $crate::pixels::Pixels::U16($values) => $body,
            $crate::pixels::Pixels::I16($values) => $body,
            $crate::pixels::Pixels::U32($values) => $body,
            $crate::pixels::Pixels::I32($values) => $body,
            $crate::pixels::Pixels::F32($values) => $body,
            $crate::pixels::Pixels::F64($values) => $body,
        }
    };
}
pub(crate) use with_values;

impl Pixels {
    /// As Rust and numpy's short names have it.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Pixels::U8(_) => "u8",
            Pixels::U16(_) => "u16",
            Pixels::I16(_) => "i16",
            Pixels::U32(_) => "u32",
            Pixels::I32(_) => "i32",
            Pixels::F32(_) => "f32",
            Pixels::F64(_) => "f64",
        }
    }

    pub const fn len(&self) -> usize {
        with_values!(self, values => values.len())
    }

    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub const fn kind(&self) -> stats::Kind {
        match self {
            Pixels::U8(_) => stats::Kind::U8,
            Pixels::U16(_) => stats::Kind::U16,
            Pixels::I16(_) => stats::Kind::I16,
            _ => stats::Kind::Wide,
        }
    }
}

/// The type that pixels of a file are read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataType {
    U8,
    U16,
    I16,
    U32,
    I32,
    F32,
    F64,
}

impl DataType {
    /// `None` for complex numbers. GDAL's 8-bit signed integers are read as 16-bit ones, its 64-bit integers as
    /// floating-point numbers, which hold them exactly up to 2^53.
    pub(crate) const fn of_gdal(code: GDALDataType::Type) -> Option<Self> {
        /// Newer than the oldest GDAL that we build with.
        const INT8: GDALDataType::Type = 14;
        match code {
            GDALDataType::GDT_Byte => Some(Self::U8),
            GDALDataType::GDT_UInt16 => Some(Self::U16),
            GDALDataType::GDT_Int16 | INT8 => Some(Self::I16),
            GDALDataType::GDT_UInt32 => Some(Self::U32),
            GDALDataType::GDT_Int32 => Some(Self::I32),
            GDALDataType::GDT_Float32 => Some(Self::F32),
            GDALDataType::GDT_Float64 | GDALDataType::GDT_UInt64 | GDALDataType::GDT_Int64 => Some(Self::F64),
            _ => None,
        }
    }
}

/// Does something for a type that is known only when the program runs.
macro_rules! with_type {
    ($data_type:expr, $T:ident => $body:expr) => {
        match $data_type {
            $crate::pixels::DataType::U8 => {
                type $T = u8;
                $body
            }
            $crate::pixels::DataType::U16 => {
                type $T = u16;
                $body
            }
            $crate::pixels::DataType::I16 => {
                type $T = i16;
                $body
            }
            $crate::pixels::DataType::U32 => {
                type $T = u32;
                $body
            }
            $crate::pixels::DataType::I32 => {
                type $T = i32;
                $body
            }
            $crate::pixels::DataType::F32 => {
                type $T = f32;
                $body
            }
            $crate::pixels::DataType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}
pub(crate) use with_type;

/// A value that GDAL can write into memory.
pub(crate) trait Value: Copy + Default + PartialEq + stats::Sample + 'static {
    const CODE: GDALDataType::Type;
    const IS_FLOAT: bool = false;
    /// What [`swath_proto::source::Scaling::Cast`] divides by.
    const CAST_MAX: f64;
    fn wrap(values: Vec<Self>) -> Pixels;
    fn is_finite(self) -> bool {
        true
    }
    /// `None` of what the type can't hold. NaN never stands for anything here.
    fn exactly(value: f64) -> Option<Self>;
}

macro_rules! value {
    ($type:ty, $variant:ident, $code:ident) => {
        impl Value for $type {
            const CODE: GDALDataType::Type = GDALDataType::$code;
            const CAST_MAX: f64 = <$type>::MAX as f64;
            fn wrap(values: Vec<Self>) -> Pixels {
                Pixels::$variant(values)
            }
            fn exactly(value: f64) -> Option<Self> {
                // A cast of floating-point numbers saturates.
                (f64::from(value as Self) == value).then_some(value as Self)
            }
        }
    };
}

macro_rules! float {
    ($type:ty, $variant:ident, $code:ident) => {
        impl Value for $type {
            const CODE: GDALDataType::Type = GDALDataType::$code;
            const IS_FLOAT: bool = true;
            const CAST_MAX: f64 = 1.0;
            fn wrap(values: Vec<Self>) -> Pixels {
                Pixels::$variant(values)
            }
            fn is_finite(self) -> bool {
                <$type>::is_finite(self)
            }
            /// The nearest: files write nodata in decimals.
            fn exactly(value: f64) -> Option<Self> {
                Some(value as Self).filter(|value| value.is_finite())
            }
        }
    };
}

value!(u8, U8, GDT_Byte);
value!(u16, U16, GDT_UInt16);
value!(i16, I16, GDT_Int16);
value!(u32, U32, GDT_UInt32);
value!(i32, I32, GDT_Int32);
float!(f32, F32, GDT_Float32);
float!(f64, F64, GDT_Float64);
