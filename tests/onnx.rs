//! An ONNX file gives the logits of the network it was written from, in every engine.
//!
//! Children of every space are trained for a few steps, so that their batch norms' running statistics are some, and
//! exported in every way; then burn's logits are compared with those of the host's engine, onnxruntime and OpenVINO.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use child::backend::Processor;
use child::data::{DataConfig, Dataset, Deployment, Images, Normalisation, Splits};
use child::graph::{Graph, Shape};
use child::network::Network;
use child::onnx::{self, Description, Options};
use child::space::{
    Architecture, Mobile, MobileSettings, NasBench201, NasBench201Settings, Nasnet, NasnetSettings, SearchSpace,
};
use child::train::{self, EpochReport, Trainer, TrainingConfig, Validation};
use hardware::host::Inference;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest absolute difference of a logit.
const TOLERANCE: f64 = 1e-4;

/// Images each network is compared on.
const IMAGES: usize = 3;

/// One network, written in one way.
struct Export {
    name: String,
    path: PathBuf,
    options: Options,
    /// Pixels as they are stored, `[IMAGES, channels, height, width]`.
    images: Vec<f32>,
    /// burn's, `[IMAGES, classes]`.
    logits: Vec<f32>,
}

/// Every export, made once for all tests of this file.
static EXPORTS: LazyLock<Vec<Export>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mut exports = Vec::new();
    for data in [Data::digits(), Data::noise()] {
        for (name, text, graph) in data.graphs() {
            let network = data.train(graph);
            exports.extend(data.export(&folder, &name, &text, &network));
        }
    }
    exports
});

/// What children are trained on and compared on.
struct Data {
    name: &'static str,
    splits: Splits,
    normalisation: Normalisation,
    deployment: Deployment,
    classes: usize,
}

impl Data {
    /// 1×8×8.
    fn digits() -> Self {
        let dataset = DataConfig { limit: Some(100), ..DataConfig::default() }.load().unwrap();
        Self::new("digits", &dataset)
    }

    /// 3×32×32, the shape of CIFAR-10.
    fn noise() -> Self {
        let (mut rng, shape, count) = (ChaCha8Rng::seed_from_u64(1), Shape::new(3, 32, 32), 50);
        let bytes = (0..count * shape.elements()).map(|_| rng.random()).collect();
        let labels = (0..count).map(|image| image as u16 % 7).collect();
        let images = Images::new(shape, 255, bytes, labels).unwrap();
        let classes = (0..7).map(|class| class.to_string()).collect();
        Self::new("noise", &Dataset::new("noise", classes, images, None, None).unwrap())
    }

    fn new(name: &'static str, dataset: &Dataset) -> Self {
        let splits = dataset.split(0.2, &mut ChaCha8Rng::seed_from_u64(2)).unwrap();
        let normalisation = Normalisation::of(&splits.train);
        let deployment = Deployment::of(dataset, normalisation.clone());
        Self { name, splits, normalisation, deployment, classes: dataset.classes() }
    }

    /// Some architectures of every space, by name, with their texts.
    fn graphs(&self) -> Vec<(String, String, Graph)> {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut graphs = Vec::new();
        for (space, samples) in self.spaces() {
            for sample in 0..samples {
                graphs.push(self.graph(&*space, sample, &space.random(&mut rng)));
            }
        }
        let operations = [
            "max_pool_3x3",
            "skip_connect",
            "sep_conv_3x3",
            "conv_3x3",
            "sep_conv_5x5",
            "conv_5x5",
            "sep_conv_7x7",
            "conv_7x7",
        ];
        let operations = operations.map(str::to_owned).to_vec();
        let settings = NasnetSettings { blocks: 4, operations, depths: vec![1], widths: vec![8] };
        let tea_dnn = Nasnet::new(settings).unwrap();
        let cell = "[0.conv_5x5+1.conv_7x7, 1.sep_conv_7x7+2.conv_3x3, 0.sep_conv_3x3+1.max_pool_3x3, \
                    3.sep_conv_5x5+1.skip_connect]";
        let every_operation = tea_dnn.parse(&format!("normal{cell} reduce{cell} depth=1 width=8")).unwrap();
        graphs.push(self.graph(&tea_dnn, 3, &every_operation));
        let benchmark = NasBench201::new(NasBench201Settings { channels: 8, cells: 1, ..Default::default() }).unwrap();
        let disconnected = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|";
        let (_, text, graph) = self.graph(&benchmark, 0, &benchmark.parse(disconnected).unwrap());
        let written = self.written(&benchmark, &benchmark.parse(disconnected).unwrap());
        graphs.push((format!("{}-disconnected", self.name), text.clone(), graph));
        graphs.push((format!("{}-disconnected-with-dead-branches", self.name), text, written));
        graphs
    }

    /// The spaces, each with a number of samples.
    fn spaces(&self) -> Vec<(Box<dyn SearchSpace>, usize)> {
        let operations = [
            "none",
            "skip_connect",
            "conv_1x1",
            "conv_3x3",
            "sep_conv_3x3",
            "sep_conv_5x5",
            "sep_conv_7x7",
            "dil_conv_3x3",
            "dil_conv_5x5",
            "avg_pool_3x3",
            "max_pool_3x3",
        ];
        let nasnet = NasnetSettings {
            blocks: 4,
            operations: operations.map(str::to_owned).to_vec(),
            depths: vec![1, 2],
            widths: vec![8, 12],
        };
        let (benchmark, mobile) = match self.name {
            "digits" => {
                let settings = NasBench201Settings { channels: 8, cells: 2, ..Default::default() };
                let small = MobileSettings {
                    stems: vec![8, 16],
                    strides: vec![1, 2, 2],
                    widths: vec![vec![8, 16], vec![16, 24], vec![24, 32]],
                    kernels: vec![3, 5],
                    expansions: vec![1, 3, 6],
                    depths: vec![1, 2, 3],
                    squeeze_excitation: vec![false, true],
                    head: 64,
                };
                (settings, small)
            }
            _ => (NasBench201Settings::default(), MobileSettings::default()),
        };
        vec![
            (Box::new(NasBench201::new(benchmark).unwrap()), 2),
            (Box::new(Nasnet::new(nasnet).unwrap()), 3),
            (Box::new(Mobile::new(mobile).unwrap()), 2),
        ]
    }

    fn graph(&self, space: &dyn SearchSpace, sample: usize, architecture: &Architecture) -> (String, String, Graph) {
        let text = space.format(architecture).unwrap();
        (format!("{}-{}-{sample}", self.name, space.name()), text, self.written(space, architecture).pruned())
    }

    fn written(&self, space: &dyn SearchSpace, architecture: &Architecture) -> Graph {
        space.graph(architecture, self.splits.train.shape(), self.classes).unwrap()
    }

    /// A network after some steps of training, in evaluation mode.
    fn train(&self, graph: Graph) -> Network {
        let config = TrainingConfig { epochs: 2, batch_size: 4, learning_rate: 0.02, ..TrainingConfig::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let trainer = Trainer {
            data: &self.splits,
            normalisation: &self.normalisation,
            config: &config,
            processor: &Processor::default(),
            validation: Validation::AtEnd,
            checkpoint: None,
        };
        let network = Network::init(Arc::new(graph), &mut rng);
        trainer.train(network, &mut rng, &mut |_: &EpochReport| ControlFlow::Continue(())).unwrap().network
    }

    /// Writes a network in every way, with the images and logits to compare it on beside it.
    fn export(&self, folder: &Path, name: &str, text: &str, network: &Network) -> Vec<Export> {
        let pixels: Vec<f32> = (self.splits.validation.pixels().take(IMAGES))
            .flat_map(|(image, _)| image.iter().map(|value| f32::from(*value)))
            .collect();
        let description = Description::untrained(text, Some(&self.deployment));
        let validation = self.splits.validation.first(IMAGES);
        let logits = train::logits(network, &validation, &self.normalisation, &Processor::default());
        let ways = [11, 12, 13].into_iter().flat_map(|opset| [(opset, false), (opset, true)]);
        ways.map(|(opset, fold_batch_norm)| {
            let options = Options { opset, fold_batch_norm };
            let norm = if fold_batch_norm { "folded" } else { "apart" };
            let name = format!("{name}-opset{opset}-{norm}");
            let path = folder.join(format!("{name}.onnx"));
            std::fs::write(&path, onnx::to_bytes(network, &description, options).unwrap()).unwrap();
            std::fs::write(path.with_extension("images"), bytes(&pixels)).unwrap();
            std::fs::write(path.with_extension("logits"), bytes(&logits)).unwrap();
            Export { name, path, options, images: pixels.clone(), logits: logits.clone() }
        })
        .collect()
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Constant logits would agree in every engine; only a disconnected cell has them.
#[test]
fn logits_depend_on_the_image() {
    for export in EXPORTS.iter() {
        assert!(export.logits.iter().all(|logit| logit.is_finite()), "{}", export.name);
        let (first, others) = export.logits.split_at(export.logits.len() / IMAGES);
        for other in others.chunks(first.len()) {
            let difference = first.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            match export.name.contains("disconnected") {
                true => assert_eq!(difference, 0.0, "{}", export.name),
                false => assert!(difference > 1e-3, "{}: {difference}", export.name),
            }
        }
    }
}

#[test]
fn the_engine_of_the_host_agrees() {
    for export in EXPORTS.iter() {
        let mut inference = Inference::load(&export.path).unwrap();
        let image_size = export.images.len() / IMAGES;
        let found = export.images.chunks(image_size).flat_map(|image| inference.run(image).unwrap());
        let differences = found.zip(&export.logits).map(|(a, b)| f64::from((a - b).abs()));
        let largest = differences.fold(0.0, f64::max);
        assert!(largest <= TOLERANCE, "{}: {largest:e}", export.name);
    }
}

#[test]
fn onnxruntime_and_openvino_agree_and_the_checker_finds_nothing() {
    let folder = EXPORTS[0].path.parent().unwrap();
    let Some(reports) = end_to_end::python("check_onnx.py", folder) else { return };
    let mut operators = BTreeSet::new();
    for export in EXPORTS.iter() {
        let report = &reports[&export.name];
        assert!(report["error"].is_null(), "{}: {}", export.name, report["error"]);
        assert_eq!(report["opset"], export.options.opset, "{}", export.name);
        for runtime in ["onnxruntime", "openvino"] {
            let difference = report[runtime].as_f64().unwrap();
            assert!(difference <= TOLERANCE, "{} on {runtime}: {difference:e}", export.name);
        }
        operators.extend(report["operators"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()));
    }
    // The sample has what the spaces can have, and no more than the boards' tools take.
    let expected = [
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Conv",
        "Flatten",
        "Gemm",
        "GlobalAveragePool",
        "HardSigmoid",
        "MaxPool",
        "Mul",
        "Relu",
    ];
    assert_eq!(operators, BTreeSet::from(expected));
}
