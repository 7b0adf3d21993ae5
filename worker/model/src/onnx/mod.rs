//! Networks as ONNX files (operator set 17), for engines that take them so. Batch norms are folded, all sizes are
//! fixed, and images come and go as they lie: pixels row by row, bands side by side.

mod message;
mod quantize;

use std::{collections::HashMap, mem};

use prost::Message as _;

use crate::{
    conv::Conv,
    error::{ModelError, Result},
    group_norm::{self, GroupNorm},
    network::Network,
    ops::Ops,
    ranges::Ranges,
    weights::{values, values_into},
};
use message::{Attribute, Constant, Element, Graph as Stored, Model, Operators, Port, Value};

const IR_VERSION: i64 = 8;
const OPERATORS: i64 = 17;

/// A network's file. With the ranges of its values, it computes in 8 bits.
pub(crate) fn write(network: &dyn Network, sizes: [i64; 4], ranges: Option<&Ranges>) -> Result<Vec<u8>> {
    let [batch, edge, bands, classes] = sizes;
    let mut graph = Graph { ranges: ranges.cloned(), ..Graph::default() };
    let pixels = [batch, edge, edge, bands];
    let turned = graph.node("Transpose", &["pixels"], &[("perm", Value::Ints(&[0, 3, 1, 2]))]);
    let input = graph.value(turned, [batch, bands, edge, edge], None);
    let output = network.write_down(&mut graph, &input)?;
    if output.sizes != [batch, classes, edge, edge] {
        return Err(ModelError::config(format!(
            "the network gives {:?} where {:?} (batch, classes, height, width) belongs",
            output.sizes,
            [batch, classes, edge, edge]
        )));
    }
    if let Some(ranges) = ranges.filter(|ranges| ranges.len() != graph.values) {
        return Err(ModelError::config(format!(
            "ranges of {} values are not those of this network, which has {}",
            ranges.len(),
            graph.values
        )));
    }
    let last = graph.node("Transpose", &[&output.name], &[("perm", Value::Ints(&[0, 2, 3, 1]))]);
    let mut stored = graph.stored;
    stored.name = "network".into();
    stored.inputs = vec![Port::new("pixels", pixels)];
    stored.outputs = vec![Port::new(&last, [batch, edge, edge, classes])];
    let operators = vec![Operators { domain: String::new(), version: OPERATORS }];
    let model = Model { ir_version: IR_VERSION, producer: "swath".into(), graph: Some(stored), operators };
    Ok(model.encode_to_vec())
}

/// How often a pass over a batch multiplies: what convolutions do, beside which all else is little.
pub(crate) fn multiplications(network: &dyn Network, [batch, edge, bands, _]: [i64; 4]) -> Result<u64> {
    let mut graph = Graph::default();
    let input = graph.value("pixels".into(), [batch, bands, edge, edge], None);
    network.write_down(&mut graph, &input)?;
    Ok(graph.multiplications)
}

/// A network being written down.
#[derive(Default)]
pub(crate) struct Graph {
    stored: Stored,
    multiplications: u64,
    ranges: Option<Ranges>,
    /// How many values there were; it numbers them as [`Ranges`] does.
    values: usize,
    /// Names of values in 8 bits, by their own.
    quantized: HashMap<String, Quantized>,
    /// For the elements of one kernel after the other: new pages cost more than what is written there.
    room: Vec<f32>,
}

/// A value of the network.
pub(crate) struct Node {
    name: String,
    sizes: [i64; 4],
    /// Number of the value whose range this one has: its own, or that of what it repeats.
    range: usize,
}

#[derive(Clone)]
struct Quantized {
    name: String,
    scale: f32,
}

impl Graph {
    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Value<'_>)]) -> String {
        let output = format!("n{}", self.stored.nodes.len());
        self.stored.nodes.push(message::Node {
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            outputs: vec![output.clone()],
            name: format!("{operator}-{output}"),
            operator: operator.into(),
            attributes: attributes.iter().map(|(name, value)| Attribute::new(name, value)).collect(),
        });
        output
    }

    fn constant(&mut self, sizes: &[i64], element: Element, bytes: Vec<u8>) -> String {
        let name = format!("c{}", self.stored.constants.len());
        let constant = Constant { sizes: sizes.to_vec(), element: element as i32, name: name.clone(), bytes };
        self.stored.constants.push(constant);
        name
    }

    fn floats(&mut self, sizes: &[i64], values: &[f32]) -> String {
        self.constant(sizes, Element::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn ints(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&[values.len() as i64], Element::I64, bytes)
    }

    /// `like`: it holds no other numbers than that value.
    fn value(&mut self, name: String, sizes: [i64; 4], like: Option<&Node>) -> Node {
        let range = like.map_or(self.values, |like| like.range);
        self.values += 1;
        Node { name, sizes, range }
    }

    /// A node that gives images of another size.
    fn resized(&mut self, name: &str, sizes: [i64; 4], mode: &str, coordinates: &str) -> String {
        let wanted = self.ints(&sizes);
        let attributes = [
            ("mode", Value::Text(mode)),
            ("coordinate_transformation_mode", Value::Text(coordinates)),
            // Asked for nothing but the nearest.
            ("nearest_mode", Value::Text("floor")),
        ];
        self.node("Resize", &[name, "", "", &wanted], &attributes)
    }
}

impl Ops for Graph {
    type Value = Node;

    fn conv(&mut self, conv: &Conv, input: &Node) -> Result<Node> {
        let size = conv.weight.size();
        let [to, from, kernel, _] = size[..] else {
            return Err(ModelError::internal(format!("a kernel of the sizes {size:?}")));
        };
        if conv.norm.is_some() {
            return Err(ModelError::internal("a convolution whose batch norm is not folded"));
        }
        let mut weights = mem::take(&mut self.room);
        values_into(&conv.weight, &mut weights)?;
        let bias = conv.bias.as_ref().map_or_else(|| Ok(vec![0.0; to as usize]), values)?;
        let taken = self.taken(input)?;
        let [kernels, bias] = match self.quantized.get(&input.name).map(|quantized| quantized.scale) {
            Some(scale) => self.small(&size, &weights, &bias, scale),
            None => [self.floats(&size, &weights), self.floats(&[to], &bias)],
        };
        self.room = weights;
        let Conv { stride, dilation, padding, groups, .. } = *conv;
        let attributes = [
            ("kernel_shape", Value::Ints(&[kernel; 2])),
            ("strides", Value::Ints(&[stride; 2])),
            ("pads", Value::Ints(&[padding; 4])),
            ("dilations", Value::Ints(&[dilation; 2])),
            ("group", Value::Int(groups)),
        ];
        let name = self.node("Conv", &[&taken, &kernels, &bias], &attributes);
        let [n, _, height, width] = input.sizes;
        let after = |edge: i64| (edge + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
        let sizes = [n, to, after(height), after(width)];
        self.multiplications += (sizes.iter().product::<i64>() * from * kernel.pow(2)) as u64;
        Ok(self.value(name, sizes, None))
    }

    fn group_norm(&mut self, norm: &GroupNorm, input: &Node) -> Result<Node> {
        let [n, channels, height, width] = input.sizes;
        let groups = group_norm::GROUPS;
        let wanted = self.ints(&[n, groups, channels / groups * height * width]);
        let parts = self.node("Reshape", &[&input.name, &wanted], &[]);
        let [ones, zeros] =
            [1.0, 0.0].map(|number| self.floats(&[groups], &[number; group_norm::GROUPS as usize]));
        // Its epsilon is the usual one, and ours.
        let normed = self.node("InstanceNormalization", &[&parts, &ones, &zeros], &[]);
        let wanted = self.ints(&input.sizes);
        let whole = self.node("Reshape", &[&normed, &wanted], &[]);
        let each = [1, channels, 1, 1];
        let (gamma, beta) = (values(&norm.gamma)?, values(&norm.beta)?);
        let [gamma, beta] = [gamma, beta].map(|values| self.floats(&each, &values));
        let scaled = self.node("Mul", &[&whole, &gamma], &[]);
        let name = self.node("Add", &[&scaled, &beta], &[]);
        Ok(self.value(name, input.sizes, None))
    }

    fn relu(&mut self, input: Node) -> Result<Node> {
        let name = self.node("Relu", &[&input.name], &[]);
        Ok(self.value(name, input.sizes, None))
    }

    fn add(&mut self, left: Node, right: &Node) -> Result<Node> {
        let (first, second) = (self.taken(&left)?, self.taken(right)?);
        let name = self.node("Add", &[&first, &second], &[]);
        Ok(self.value(name, left.sizes, None))
    }

    fn concat(&mut self, parts: &[&Node]) -> Result<Node> {
        let names = parts.iter().map(|part| self.taken(part)).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = self.node("Concat", &names, &[("axis", Value::Int(1))]);
        let [n, _, height, width] = parts.first().map(|part| part.sizes).unwrap_or_default();
        let channels = parts.iter().map(|part| part.sizes[1]).sum();
        Ok(self.value(name, [n, channels, height, width], None))
    }

    fn max_pool(&mut self, input: &Node) -> Result<Node> {
        let taken = self.taken(input)?;
        let attributes = [
            ("kernel_shape", Value::Ints(&[3, 3])),
            ("strides", Value::Ints(&[2, 2])),
            ("pads", Value::Ints(&[1; 4])),
        ];
        let name = self.node("MaxPool", &[&taken], &attributes);
        let [n, channels, height, width] = input.sizes;
        Ok(self.value(name, [n, channels, (height - 1) / 2 + 1, (width - 1) / 2 + 1], Some(input)))
    }

    fn double(&mut self, input: &Node) -> Result<Node> {
        let [n, channels, height, width] = input.sizes;
        let sizes = [n, channels, height * 2, width * 2];
        let taken = self.taken(input)?;
        let name = self.resized(&taken, sizes, "nearest", "asymmetric");
        Ok(self.value(name, sizes, Some(input)))
    }

    fn mean(&mut self, input: &Node) -> Result<Node> {
        let taken = self.taken(input)?;
        let name = self.node("GlobalAveragePool", &[&taken], &[]);
        let [n, channels, ..] = input.sizes;
        Ok(self.value(name, [n, channels, 1, 1], None))
    }

    fn spread(&mut self, pixel: &Node, like: &Node) -> Result<Node> {
        let [n, channels, ..] = pixel.sizes;
        let [_, _, height, width] = like.sizes;
        let taken = self.taken(pixel)?;
        let wanted = self.ints(&[n, channels, height, width]);
        let name = self.node("Expand", &[&taken, &wanted], &[]);
        Ok(self.value(name, [n, channels, height, width], Some(pixel)))
    }

    fn enlarge(&mut self, input: &Node, times: i64) -> Result<Node> {
        let [n, channels, height, width] = input.sizes;
        let sizes = [n, channels, height * times, width * times];
        // Between bytes there would be nothing to interpolate.
        let name = self.resized(&input.name, sizes, "linear", "align_corners");
        Ok(self.value(name, sizes, None))
    }

    fn resize(&mut self, input: &Node, like: &Node) -> Result<Node> {
        let ([n, channels, ..], [_, _, height, width]) = (input.sizes, like.sizes);
        let sizes = [n, channels, height, width];
        // The logits: they stay floats.
        let name = self.resized(&input.name, sizes, "linear", "half_pixel");
        Ok(self.value(name, sizes, None))
    }

    fn dropout(&mut self, input: Node) -> Result<Node> {
        Ok(self.value(input.name.clone(), input.sizes, Some(&input)))
    }

    fn drop_channels(&mut self, input: Node) -> Result<Node> {
        self.dropout(input)
    }
}
