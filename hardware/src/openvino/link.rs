//! A connection to a machine with OpenVINO.

use std::time::Duration;

use serde_json::json;

use super::options::OpenVinoOptions;
use super::report::{Report, parse};
use super::support::check;
use crate::remote::{Agent, End, Place, RemoteError, take};

/// The program.
const TOOL: &str = "benchmark_app";
/// How long it may take to print its version.
const TELLING: Duration = Duration::from_secs(60);

/// A connected machine. Dropping it ends the programs that this one started there.
pub(super) struct Link {
    pub agent: Agent,
    pub place: Place,
    /// Path of benchmark_app.
    pub tool: String,
    /// Build of OpenVINO.
    pub version: String,
}

impl Link {
    /// Takes the device for this run alone, and finds the tool.
    ///
    /// # Errors
    /// If another run has the device, the tool is missing, or its version does not drive the device.
    pub fn open(mut agent: Agent, place: &Place, options: &OpenVinoOptions) -> Result<Self, RemoteError> {
        take(&mut agent, Some(&format!("openvino {}", options.device)))?;
        let tool = find(&mut agent, options, place)?;
        let version = version(&mut agent, &tool)?;
        let is_wheel = is_wheel(&mut agent, &tool)?;
        check(&options.device, &version, is_wheel).map_err(|problem| RemoteError::Settings { problem })?;
        Ok(Self { agent, place: place.clone(), tool, version })
    }

    /// Number of the version without its build: `2026.4.1`.
    pub fn release(&self) -> &str {
        self.version.split('-').next().unwrap_or(&self.version)
    }
}

fn find(agent: &mut Agent, options: &OpenVinoOptions, place: &Place) -> Result<String, RemoteError> {
    let candidates = match (&options.tool, place) {
        (None, _) => vec![TOOL.to_owned()],
        (Some(path), place) => {
            // The agent has another working directory than we have.
            let path = match place {
                Place::Here => std::path::absolute(options.machine.path(path))
                    .map_or(path.clone(), |path| path.display().to_string()),
                Place::Over(_) => path.clone(),
            };
            vec![format!("{path}/bin/{TOOL}"), path]
        }
    };
    for name in &candidates {
        if let Some(path) = agent.ask(json!({"do": "which", "name": name}))?.path {
            return Ok(path);
        }
    }
    let problem = match &options.tool {
        Some(path) => format!(
            "{path} is neither {TOOL} nor a virtual environment that has it: make one with `scripts/openvino.sh \
             [VERSION]`, which prints the path"
        ),
        None => format!(
            "there is no {TOOL} in PATH: make an environment that has it with `scripts/openvino.sh [VERSION]`, and give \
             the path that it prints as `tool`"
        ),
    };
    Err(RemoteError::Settings { problem })
}

/// The build, which the tool prints before it notices that the model is missing.
fn version(agent: &mut Agent, tool: &str) -> Result<String, RemoteError> {
    let argv = ["env", "PYTHONUNBUFFERED=1", tool, "-m", "no-model.onnx", "-d", "CPU"].map(str::to_owned);
    let printed = agent.run(&argv, TELLING)?;
    let settings = |problem: String| RemoteError::Settings { problem };
    if printed.end == End::TimedOut {
        let problem = format!("{tool} does not even print its version within {} s", TELLING.as_secs());
        return Err(RemoteError::Failed { problem });
    }
    let report = parse(&printed.text()).map_err(|error| settings(format!("{tool}: {error}")))?;
    let Report { version, problem, .. } = report;
    version.ok_or_else(|| {
        let why = problem.map_or_else(|| "it prints none".to_owned(), |problem| problem.text);
        settings(format!("{tool} does not print its version: {why}"))
    })
}

/// Whether the tool was installed as a Python package.
fn is_wheel(agent: &mut Agent, tool: &str) -> Result<bool, RemoteError> {
    let Some(environment) = tool.strip_suffix(&format!("/bin/{TOOL}")) else { return Ok(false) };
    let pattern = format!("{environment}/lib/python3*/site-packages/openvino-*.dist-info/METADATA");
    Ok(!agent.ask(json!({"do": "look", "patterns": [pattern]}))?.files.is_empty())
}
