//! The names a pickle may say.

use crate::{
    dtype::Dtype,
    error::{Problem, Result, shown},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::torch) enum Global {
    OrderedDict,
    /// Before PyTorch 0.4.
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Size,
    Storage(Dtype),
    /// A type of elements: said beside weights, never needed for them.
    ElementType,
}

impl Global {
    pub(super) fn named(module: &str, name: &str) -> Result<Self> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "Size") => Self::Size,
            (
                "torch",
                "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32" | "int16" | "int8"
                | "uint8" | "bool",
            ) => Self::ElementType,
            ("torch" | "torch.storage", class) if class.ends_with("Storage") => Self::storage(class)?,
            _ => return Err(Problem::Refused(format!("{}.{}", shown(module), shown(name)))),
        })
    }

    fn storage(class: &str) -> Result<Self> {
        Dtype::of_storage(class).map(Self::Storage).ok_or_else(|| {
            Problem::Unsupported(format!(
                "tensors of torch.{} are not read: convert them to floats and save them again",
                shown(class)
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_state_dicts_need_may_be_named() {
        assert_eq!(Global::named("torch", "HalfStorage").unwrap(), Global::Storage(Dtype::F16));
        assert_eq!(Global::named("torch.storage", "UntypedStorage").unwrap(), Global::Storage(Dtype::U8));
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("torch._utils", "_rebuild_tensor_v2.__globals__"),
            ("collections", "OrderedDict.__init__"),
            ("os", "FloatStorage"),
            ("torch.nn.modules.conv", "Conv2d"),
        ] {
            let refused = Global::named(module, name).unwrap_err();
            assert!(refused.to_string().contains(&format!("'{module}.{name}': refused")), "{refused}");
        }
        assert!(matches!(Global::named("torch", "QInt8Storage"), Err(Problem::Unsupported(_))));
    }
}
