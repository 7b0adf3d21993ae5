//! The part of onnx.proto3 (IR version 8) that a network of ours needs.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(int64, tag = "1")]
    pub(super) ir_version: i64,
    #[prost(string, tag = "2")]
    pub(super) producer: String,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(super) operators: Vec<Operators>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Operators {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) constants: Vec<Constant>,
    #[prost(message, repeated, tag = "11")]
    pub(super) inputs: Vec<Port>,
    #[prost(message, repeated, tag = "12")]
    pub(super) outputs: Vec<Port>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) outputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) operator: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int64, optional, tag = "3")]
    pub(super) int: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) text: Option<Vec<u8>>,
    #[prost(int64, repeated, tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub(super) kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Constant {
    #[prost(int64, repeated, tag = "1")]
    pub(super) sizes: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) element: i32,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) bytes: Vec<u8>,
}

/// An input or output of a graph.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Port {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) kind: Option<PortKind>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PortKind {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorKind {
    #[prost(int32, tag = "1")]
    pub(super) element: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) sizes: Option<Sizes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sizes {
    #[prost(message, repeated, tag = "1")]
    pub(super) each: Vec<Size>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Size {
    #[prost(int64, optional, tag = "1")]
    pub(super) value: Option<i64>,
}

/// What elements are, by ONNX's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    I32 = 6,
    I64 = 7,
}

/// The value of an attribute.
pub(super) enum Value<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Text(&'a str),
}

impl Attribute {
    pub(super) fn new(name: &str, value: &Value<'_>) -> Self {
        let mut attribute = Self { name: name.into(), ..Self::default() };
        // The kinds have numbers of their own.
        attribute.kind = match value {
            Value::Int(int) => {
                attribute.int = Some(*int);
                2
            }
            Value::Ints(ints) => {
                attribute.ints = ints.to_vec();
                7
            }
            Value::Text(text) => {
                attribute.text = Some(text.as_bytes().to_vec());
                3
            }
        };
        attribute
    }
}

impl Port {
    pub(super) fn new(name: &str, sizes: [i64; 4]) -> Self {
        let each = sizes.map(|size| Size { value: Some(size) }).to_vec();
        let tensor = TensorKind { element: Element::F32 as i32, sizes: Some(Sizes { each }) };
        Self { name: name.into(), kind: Some(PortKind { tensor: Some(tensor) }) }
    }
}
