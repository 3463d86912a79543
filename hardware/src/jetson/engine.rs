//! Models and engines on the board, whose file names contain everything that they depend on.

use std::time::Duration;

use serde_json::json;

use super::trial;
use crate::model::Model;
use crate::remote::{self, Agent, FREE, MODELS, Place, RemoteError};

/// Folder of engines.
const ENGINES: &str = "engines";
/// Folders whose files can be made again, and go where the disk is full.
const OLDER: [&str; 2] = [ENGINES, MODELS];
/// Longest time that building an engine may take: large networks need many minutes on a small board.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// Everything that an engine depends on besides the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Builder {
    /// The program with its path.
    pub trtexec: String,
    /// Version of TensorRT.
    pub version: String,
    /// Name of the precision.
    pub precision: &'static str,
    /// Flags of trtexec for the precision.
    pub flags: &'static [&'static str],
    /// Further properties that distinguish boards: power mode and serial number.
    pub board: String,
}

impl Builder {
    /// Path of a model's engine, in the work folder.
    pub fn engine(&self, model: &Model) -> String {
        let key = format!("{}-trt{}-{}-{}", model.sha256, self.version, self.precision, self.board);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let key: String = key.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        format!("{ENGINES}/{key}.plan")
    }

    /// Flags that make trtexec only build; they were renamed in 8.6.
    fn only_build(&self) -> &'static str {
        let mut parts = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        match (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) {
            (7, _) | (8, 0..=5) => "--buildOnly",
            _ => "--skipInference",
        }
    }

    /// Version 7 needs this flag to read networks from ONNX files.
    fn explicit_batch(&self) -> Option<&'static str> {
        self.version.starts_with("7.").then_some("--explicitBatch")
    }
}

/// Makes sure that the board has the engine of a model; returns its path.
///
/// # Errors
/// If the model cannot be uploaded, or its engine cannot be built.
pub(super) fn provide(
    agent: &mut Agent,
    place: &Place,
    builder: &Builder,
    model: &Model,
) -> Result<String, RemoteError> {
    let engine = builder.engine(model);
    if agent.ask(json!({"do": "exists", "path": engine}))?.exists {
        return Ok(engine);
    }
    agent.make_room(FREE, &OLDER)?;
    let onnx = remote::provide(agent, place, model, &OLDER)?;
    let part = format!("{engine}.part");
    agent.ask(json!({"do": "make", "path": ENGINES}))?;
    let mut argv = vec![builder.trtexec.clone(), format!("--onnx={onnx}"), format!("--saveEngine={part}")];
    argv.extend(builder.flags.iter().map(|flag| (*flag).to_owned()));
    argv.extend([builder.only_build()].into_iter().chain(builder.explicit_batch()).map(str::to_owned));
    let printed = remote::print(agent, &argv, BUILD_LIMIT, &|| Ok(()))?;
    let report = trial::report(&printed, "build an engine", BUILD_LIMIT);
    if report.is_err() {
        agent.ask(json!({"do": "remove", "path": part}))?;
    }
    report?;
    if printed.text().contains("without native Int8 support") {
        agent.ask(json!({"do": "remove", "path": part}))?;
        return Err(RemoteError::Settings {
            problem: "this board's GPU has no 8-bit integers: set precision = \"fp16\"".to_owned(),
        });
    }
    agent.ask(json!({"do": "rename", "from": part, "to": engine}))?;
    remote::discard(agent, place, &onnx)?;
    Ok(engine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(version: &str) -> Builder {
        Builder {
            trtexec: "trtexec".to_owned(),
            version: version.to_owned(),
            precision: "fp16",
            flags: &["--fp16"],
            board: "mode 0-14/2".to_owned(),
        }
    }

    #[test]
    fn the_path_of_an_engine_depends_on_all_that_the_engine_depends_on() {
        let model = Model {
            architecture: "a".to_owned(),
            path: "a.onnx".into(),
            inputs: Vec::new(),
            sha256: "ab".repeat(32),
            not_onnx: None,
        };
        let path = builder("8.2.1").engine(&model);
        assert_eq!(path, format!("engines/{}-trt8.2.1-fp16-mode_0-14_2.plan", "ab".repeat(32)));
        assert_ne!(path, builder("8.2.2").engine(&model));
    }

    #[test]
    fn flags_follow_the_version() {
        let only_build = ["7.1.3", "8.2.1", "8.6.1", "10.3.0"].map(|v| builder(v).only_build());
        let (old, new) = ("--buildOnly", "--skipInference");
        assert_eq!(only_build, [old, old, new, new]);
        assert_eq!(builder("7.1.3").explicit_batch(), Some("--explicitBatch"));
        assert_eq!(builder("8.2.1").explicit_batch(), None);
    }
}
