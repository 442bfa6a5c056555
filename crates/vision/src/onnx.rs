//! Writes ONNX models: just enough of the protobuf format to describe a feed-forward network.
//!
//! The backbone is a list of layers in Rust and the head is trained here, so a model file is
//! *generated*, and every engine reads the same bytes. This module never reads a model: that is
//! the engine's work.

mod protobuf;

use protobuf::Message;

/// ONNX format version 8 with operator set 13: read by every ONNX Runtime since 1.10 and by rten.
const IR_VERSION: u64 = 8;
const OPSET_VERSION: u64 = 13;

const TENSOR_FLOAT: u64 = 1;
const ATTRIBUTE_INT: u64 = 2;
const ATTRIBUTE_INTS: u64 = 7;

/// One dimension of an input or output.
#[derive(Debug, Clone, Copy)]
pub enum Dimension {
    /// A size known when the model is written.
    Fixed(usize),
    /// A size chosen at run time, with its name: `N` for the batch.
    Named(&'static str),
}

/// An attribute of a node.
#[derive(Debug, Clone, Copy)]
pub enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
}

/// A graph under construction. Nodes have to be added in the order in which they run.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Message>,
    initializers: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
}

impl Graph {
    /// Declares the tensor of 32-bit floats that the caller gives.
    pub fn input(&mut self, name: &str, shape: &[Dimension]) {
        self.inputs.push(value_info(name, shape));
    }

    /// Declares the tensor of 32-bit floats that the caller gets.
    pub fn output(&mut self, name: &str, shape: &[Dimension]) {
        self.outputs.push(value_info(name, shape));
    }

    /// Adds a constant of shape `shape` in row-major order.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let mut tensor = Message::default();
        for &size in shape {
            tensor.unsigned(1, size as u64);
        }
        tensor.unsigned(2, TENSOR_FLOAT);
        tensor.text(8, name);
        let mut raw = Vec::with_capacity(values.len() * 4);
        for value in values {
            raw.extend_from_slice(&value.to_le_bytes());
        }
        tensor.bytes(9, &raw);
        self.initializers.push(tensor);
    }

    /// Adds a node with one output, which is also the node's name.
    pub fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute<'_>)],
    ) {
        let mut node = Message::default();
        for input in inputs {
            node.text(1, input);
        }
        node.text(2, output);
        node.text(3, output);
        node.text(4, operator);
        for (name, attribute) in attributes {
            node.message(5, &encode_attribute(name, *attribute));
        }
        self.nodes.push(node);
    }

    /// The bytes of the model file.
    pub fn encode(&self, name: &str) -> Vec<u8> {
        let mut graph = Message::default();
        for node in &self.nodes {
            graph.message(1, node);
        }
        graph.text(2, name);
        for initializer in &self.initializers {
            graph.message(5, initializer);
        }
        for input in &self.inputs {
            graph.message(11, input);
        }
        for output in &self.outputs {
            graph.message(12, output);
        }

        let mut opset = Message::default();
        opset.text(1, "");
        opset.unsigned(2, OPSET_VERSION);

        let mut model = Message::default();
        model.unsigned(1, IR_VERSION);
        model.text(2, "kennel");
        model.text(3, env!("CARGO_PKG_VERSION"));
        model.message(7, &graph);
        model.message(8, &opset);
        model.into_bytes()
    }
}

fn encode_attribute(name: &str, attribute: Attribute<'_>) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    match attribute {
        Attribute::Int(value) => {
            message.signed(3, value);
            message.unsigned(20, ATTRIBUTE_INT);
        }
        Attribute::Ints(values) => {
            for &value in values {
                message.signed(8, value);
            }
            message.unsigned(20, ATTRIBUTE_INTS);
        }
    }
    message
}

fn value_info(name: &str, shape: &[Dimension]) -> Message {
    let mut shape_message = Message::default();
    for dimension in shape {
        let mut message = Message::default();
        match dimension {
            Dimension::Fixed(size) => message.unsigned(1, *size as u64),
            Dimension::Named(name) => message.text(2, name),
        }
        shape_message.message(1, &message);
    }
    let mut tensor = Message::default();
    tensor.unsigned(1, TENSOR_FLOAT);
    tensor.message(2, &shape_message);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut info = Message::default();
    info.text(1, name);
    info.message(2, &kind);
    info
}
