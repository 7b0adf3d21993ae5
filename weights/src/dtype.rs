//! Types of elements, and their values as floats.

use std::fmt;

use half::{bf16, f16};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Dtype {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The element type of a class in `torch` such as `FloatStorage`.
    pub(crate) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" | "UntypedStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    pub(crate) const fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype as S;
        Some(match dtype {
            S::F64 => Self::F64,
            S::F32 => Self::F32,
            S::F16 => Self::F16,
            S::BF16 => Self::Bf16,
            S::I64 => Self::I64,
            S::I32 => Self::I32,
            S::I16 => Self::I16,
            S::I8 => Self::I8,
            S::U8 => Self::U8,
            S::BOOL => Self::Bool,
            _ => return None,
        })
    }

    pub(crate) const fn to_safetensors(self) -> safetensors::Dtype {
        use safetensors::Dtype as S;
        match self {
            Self::F64 => S::F64,
            Self::F32 => S::F32,
            Self::F16 => S::F16,
            Self::Bf16 => S::BF16,
            Self::I64 => S::I64,
            Self::I32 => S::I32,
            Self::I16 => S::I16,
            Self::I8 => S::I8,
            Self::U8 => S::U8,
            Self::Bool => S::BOOL,
        }
    }

    /// Appends the elements of whole little-endian `bytes`, each to the nearest float.
    pub(crate) fn extend_f32(self, bytes: &[u8], into: &mut Vec<f32>) {
        match self {
            Self::F64 => into.extend(elements(bytes).map(|b| f64::from_le_bytes(b) as f32)),
            Self::F32 => into.extend(elements(bytes).map(f32::from_le_bytes)),
            Self::F16 => into.extend(elements(bytes).map(|b| f16::from_le_bytes(b).to_f32())),
            Self::Bf16 => into.extend(elements(bytes).map(|b| bf16::from_le_bytes(b).to_f32())),
            Self::I64 => into.extend(elements(bytes).map(|b| i64::from_le_bytes(b) as f32)),
            Self::I32 => into.extend(elements(bytes).map(|b| i32::from_le_bytes(b) as f32)),
            Self::I16 => into.extend(elements(bytes).map(|b| f32::from(i16::from_le_bytes(b)))),
            Self::I8 => into.extend(elements(bytes).map(|b| f32::from(i8::from_le_bytes(b)))),
            Self::U8 => into.extend(bytes.iter().map(|&b| f32::from(b))),
            Self::Bool => into.extend(bytes.iter().map(|&b| f32::from(u8::from(b != 0)))),
        }
    }
}

fn elements<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// As PyTorch calls them.
impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::Bool => "bool",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_type_become_floats() {
        let all: [(Dtype, &[u8], f32); 10] = [
            (Dtype::F64, &(-1.5f64).to_le_bytes(), -1.5),
            (Dtype::F32, &0.1f32.to_le_bytes(), 0.1),
            (Dtype::F16, &f16::from_f32(-2.5).to_le_bytes(), -2.5),
            (Dtype::Bf16, &bf16::from_f32(384.0).to_le_bytes(), 384.0),
            (Dtype::I64, &(-7i64).to_le_bytes(), -7.0),
            (Dtype::I32, &70_000i32.to_le_bytes(), 70_000.0),
            (Dtype::I16, &(-300i16).to_le_bytes(), -300.0),
            (Dtype::I8, &(-3i8).to_le_bytes(), -3.0),
            (Dtype::U8, &[200], 200.0),
            (Dtype::Bool, &[1], 1.0),
        ];
        for (dtype, bytes, wanted) in all {
            assert_eq!(bytes.len(), dtype.size());
            let mut floats = Vec::new();
            dtype.extend_f32(bytes, &mut floats);
            assert_eq!(floats, [wanted], "{dtype}");
            assert_eq!(Dtype::of_safetensors(dtype.to_safetensors()), Some(dtype));
        }
    }
}
