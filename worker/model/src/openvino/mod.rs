//! OpenVINO as an engine: networks of our own, written down as ONNX, and ONNX models of other origin. The fastest that
//! there is on processors.

mod library;

use openvino::{
    CompiledModel, Core, DeviceType::CPU, ElementType, InferRequest, Model, PartialShape, RwPropertyKey,
    Tensor,
};

use swath_proto::item::Precision;

use crate::{
    engine::{Described, Engine, Shape},
    error::{Kind, ModelError, Result},
};

pub(crate) struct Openvino {
    request: InferRequest,
    // Both are read and written in place.
    input: Tensor,
    output: Tensor,
    layout: Layout,
    shape: Shape,
    precision: Precision,
    _compiled: CompiledModel,
}

/// How images lie in the model's input and output.
enum Layout {
    /// Pixels row by row, bands side by side: as we have them.
    Interleaved,
    /// Band by band. Batches as we have them stand beside it.
    Planar { input: Vec<f32>, output: Vec<f32> },
}

impl Openvino {
    /// A network that [`crate::onnx`] has written.
    pub(crate) fn own(file: &[u8], precision: Precision, shape: Shape, threads: u32) -> Result<Self> {
        let mut core = library::core()?;
        let model = core.read_model_from_buffer(file, None)?;
        let [batch, edge, bands, classes] = shape.sizes();
        let sizes = [[batch, edge, edge, bands], [batch, edge, edge, classes]];
        Self::compile(&mut core, &model, precision, (shape, sizes, Layout::Interleaved), threads)
    }

    /// A model of other origin: takes N, bands, H, W and gives N, classes, H, W, as floats.
    pub(crate) fn foreign(file: &[u8], precision: Precision, shape: Shape, threads: u32) -> Result<Self> {
        let mut core = library::core()?;
        let mut model = core
            .read_model_from_buffer(file, None)
            .map_err(|error| ModelError::config(format!("this is no ONNX model: {error}")))?;
        let ports = (model.get_inputs_len()?, model.get_outputs_len()?);
        if ports != (1, 1) {
            return Err(ModelError::config(format!(
                "the model has {} inputs and {} outputs: one of each can be used",
                ports.0, ports.1
            )));
        }
        let [batch, edge, bands, classes] = shape.sizes();
        let sizes = [[batch, bands, edge, edge], [batch, classes, edge, edge]];
        let wanted = PartialShape::new_static(4, &sizes[0])?;
        model.reshape_single_input(&wanted).map_err(|error| {
            ModelError::config(format!(
                "the model does not take {:?} (batch, bands, height, width): {error}",
                sizes[0]
            ))
        })?;
        let layout = Layout::Planar { input: shape.room(bands as u32)?, output: shape.room(classes as u32)? };
        Self::compile(&mut core, &model, precision, (shape, sizes, layout), threads)
    }

    fn compile(
        core: &mut Core,
        model: &Model,
        precision: Precision,
        (shape, sizes, layout): (Shape, [[i64; 4]; 2], Layout),
        threads: u32,
    ) -> Result<Self> {
        // Too large a batch is told as that before anything is compiled for it.
        drop((shape.room(shape.bands)?, shape.room(shape.classes)?));
        let flags = flags();
        let has_bf16 = ["avx512_bf16", "amx_bf16", "bf16"].iter().any(|flag| flags.contains(flag));
        let hint = match precision {
            Precision::Bf16 if !has_bf16 => {
                let why = "this processor has no instructions for bf16 (AVX512_BF16 or AMX): start the run's workers on one that \
                           has, or give precision = fp32 or int8";
                return Err(ModelError::new(Kind::Unfit, why));
            }
            Precision::Bf16 => "bf16",
            Precision::Fp16 => return Err(ModelError::config("only cards compute in fp16")),
            Precision::Fp32 | Precision::Int8(_) => "f32",
        };
        let threads = threads.max(1).to_string();
        let settings = [
            (RwPropertyKey::InferenceNumThreads, threads.as_str()),
            (RwPropertyKey::NumStreams, "1"),
            (RwPropertyKey::HintInferencePrecision, hint),
            (RwPropertyKey::HintExecutionMode, "ACCURACY"),
            // Pinned, the threads of all processes would share the first core.
            (RwPropertyKey::HintEnableCpuPinning, "NO"),
        ];
        core.set_properties(&CPU, settings)?;
        let mut compiled = core.compile_model(model, CPU)?;
        let [taken, given] = sizes;
        let output = compiled.get_output_by_index(0)?;
        let found = (output.get_shape()?.get_dimensions().to_vec(), output.get_element_type()?);
        if found != (given.to_vec(), ElementType::F32) {
            return Err(ModelError::config(format!(
                "the model gives {:?} of {:?} where {given:?} of F32 belongs",
                found.0, found.1
            )));
        }
        let mut request = compiled.create_infer_request()?;
        let tensor = |sizes: &[i64]| Tensor::new(ElementType::F32, &openvino::Shape::new(sizes)?);
        let (input, output) = (tensor(&taken)?, tensor(&given)?);
        request.set_input_tensor(&input)?;
        request.set_output_tensor(&output)?;
        Ok(Self { request, input, output, layout, shape, precision, _compiled: compiled })
    }
}

/// Name and version.
pub(crate) fn engine() -> Result<String> {
    let _open = library::core()?;
    Ok(format!("OpenVINO {}", openvino::version().build_number))
}

impl Engine for Openvino {
    fn describe(&self) -> Result<Described> {
        Ok(Described {
            engine: engine()?,
            precision: self.precision.name().into(),
            instruction_set: instruction_set(),
        })
    }

    fn input(&mut self) -> Result<&mut [f32]> {
        match &mut self.layout {
            Layout::Interleaved => Ok(self.input.get_data_mut()?),
            Layout::Planar { input, .. } => Ok(input),
        }
    }

    fn run(&mut self) -> Result<&[f32]> {
        let Self { shape, layout, .. } = self;
        if let Layout::Planar { input, .. } = layout {
            let (each, bands) = (shape.window_values(shape.bands), shape.bands as usize);
            let planes = self.input.get_data_mut::<f32>()?;
            for (pixels, planes) in input.chunks_exact(each).zip(planes.chunks_exact_mut(each)) {
                turn(pixels, planes, bands);
            }
        }
        self.request.infer()?;
        let Layout::Planar { output, .. } = layout else { return Ok(self.output.get_data()?) };
        let (each, pixels) = (shape.window_values(shape.classes), shape.window_values(1));
        for (planes, logits) in
            self.output.get_data::<f32>()?.chunks_exact(each).zip(output.chunks_exact_mut(each))
        {
            turn(planes, logits, pixels);
        }
        Ok(output)
    }
}

/// Rows become columns: `from` has rows of `width`.
fn turn(from: &[f32], to: &mut [f32], width: usize) {
    let height = from.len() / width;
    for (row, values) in from.chunks_exact(width).enumerate() {
        for (column, value) in values.iter().enumerate() {
            to[column * height + row] = *value;
        }
    }
}

/// What the engine's kernels are chosen by, and what holds them back.
fn instruction_set() -> String {
    let mut words = vec![std::env::consts::ARCH.to_owned()];
    words.extend(flags().into_iter().map(str::to_owned));
    for variable in ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"] {
        words.extend(std::env::var(variable).ok().map(|value| format!("{variable}={value}")));
    }
    words.join(" ")
}

/// What the processor says it can do, of what matters here.
fn flags() -> Vec<&'static str> {
    const FLAGS: [&str; 9] =
        ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16", "sve", "bf16"];
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let said = processor.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    let has = |flag: &&str| said.is_some_and(|said| said.split_whitespace().any(|word| word == *flag));
    FLAGS.into_iter().filter(has).collect()
}

impl From<openvino::InferenceError> for ModelError {
    fn from(error: openvino::InferenceError) -> Self {
        let text = error.to_string();
        let no_memory = ["bad_alloc", "allocate", "out of memory"].iter().any(|told| text.contains(told));
        Self::new(if no_memory { Kind::Capacity } else { Kind::Internal }, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_side_by_side_become_planes_and_back() {
        let pixels: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let (mut planes, mut again) = (vec![0.0; 12], vec![0.0; 12]);
        turn(&pixels, &mut planes, 3);
        assert_eq!(planes[..4], [0.0, 3.0, 6.0, 9.0]);
        turn(&planes, &mut again, 4);
        assert_eq!(again, pixels);
    }
}
