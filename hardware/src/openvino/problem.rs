//! Why benchmark_app failed.

use thiserror::Error;

use super::values::start_of;

/// What is kept of a message, in characters.
const MAX_MESSAGE: usize = 500;

/// What went wrong, as far as the output tells it, with the message that says so; printed, what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The model's file is not there.
    #[error(
        "OpenVINO does not find the model's file, or may not read it: {0}. Check the path on the machine it runs on"
    )]
    MissingFile(String),
    /// The file is no model, or is damaged.
    #[error("OpenVINO cannot read the model: {0}. Is the file whole, and ONNX? Export or copy it again")]
    BadModel(String),
    /// An operation that this version or device does not have.
    #[error(
        "the model has an operation that this OpenVINO does not know, or the device lacks: {0}. \
             Leave it out of the search space, or take a newer version where the device allows it"
    )]
    UnsupportedOperation(String),
    /// The input's shape is not fixed.
    #[error("an input of the model has no fixed shape: {0}. Export it with the shape it is measured with, batch 1")]
    DynamicInput(String),
    /// OpenVINO has no such device, or sees none.
    #[error(
        "OpenVINO has no such device: {0}. Check its name and driver; MYRIAD is in versions up to 2022.3 only, \
             and in the Python packages up to 2021.4.2"
    )]
    MissingDevice(String),
    /// A library of the system is missing.
    #[error("a library of the system is missing: {message}. {}", advice(.library))]
    MissingLibrary {
        /// Its file: `libusb-1.0.so.0`.
        library: String,
        /// What was printed.
        message: String,
    },
    /// No stick is plugged in, or none that is not in use.
    #[error("no Neural Compute Stick is found: {0}. Plug it in; end what else uses it; `lsusb` must show 03e7")]
    MissingStick(String),
    /// Another program has the stick.
    #[error("another program uses the Neural Compute Stick: {0}. End it, or wait: a stick serves one at a time")]
    BusyStick(String),
    /// The stick could not be opened. OpenVINO says the same of a missing one, a busy one, and one that the user has no
    /// right to.
    #[error(
        "the Neural Compute Stick cannot be opened: {0}. It is not plugged in (`lsusb` must show 03e7), or another \
             program uses it, or the user lacks the right (Movidius' udev rules, group `users`), or it hangs: unplug it \
             and plug it in again"
    )]
    UnavailableStick(String),
    /// The connection to the stick broke during the measurement.
    #[error(
        "the Neural Compute Stick was lost: {0}. Was it unplugged? It may want a powered USB hub, or to be cooled; \
             unplug it, plug it in and measure again"
    )]
    LostStick(String),
    /// Memory ran out.
    #[error("there is not enough memory for the model: {0}. Close other programs, or bound the size of the networks")]
    OutOfMemory(String),
    /// The folder for the report is missing, or not writable. This shows only after the measurement.
    #[error("the report could not be written: {0}. Make its folder first, or ask for no report")]
    Report(String),
    /// This version does not know an argument.
    #[error("benchmark_app does not understand its arguments: {0}. Is the version the one that was named?")]
    Arguments(String),
    /// OpenVINO is not installed, or not whole.
    #[error("OpenVINO is not installed as it should be: {0}. Make its environment again with `scripts/openvino.sh`")]
    Installation(String),
    /// Another error: the first that was printed.
    #[error("benchmark_app failed: {0}")]
    Other(String),
}

fn advice(library: &str) -> &'static str {
    if library.contains("libusb") {
        "Install libusb-1.0-0 (on Debian and Ubuntu), which MYRIAD needs"
    } else if library.contains("OpenCL") {
        "Install the driver for OpenCL (intel-opencl-icd on Debian and Ubuntu), which GPU needs"
    } else {
        "Install the driver that the device needs"
    }
}

/// Makes a problem of its message.
type Kind = fn(String) -> Problem;

/// Causes, by how much they say: what is found further up wins, since the others are its consequences. All in lower
/// case. Seen in 2021.4.2, 2022.3.2 and 2026.4.1, or in reports on GitHub: of sticks openvinotoolkit/openvino #236,
/// #3807, #12429, #14128, #18321, open_model_zoo #34.
const CAUSES: [(Kind, &[&str]); 13] = [
    (missing_library, &["cannot open shared object file"]),
    (Problem::BusyStick, &["device_already_in_use", "nc_busy", "libusb_error_busy", "already in use"]),
    (Problem::MissingStick, &["device_not_found", "failed to find device", "failed to find suitable device"]),
    (Problem::LostStick, &["from fifo", "to fifo", "x_link_error", "x_link_communication", "nc_gone"]),
    (
        Problem::UnavailableStick,
        &[
            "can not init myriad device",
            "can not init usb device",
            "myriad device is not opened",
            "failed to find booted device",
            "appear after boot",
            "appear after reboot",
        ],
    ),
    (Problem::MissingDevice, &["name is not registered", "no supported devices found", "no available devices"]),
    (Problem::MissingFile, &["could not open the file", "doesn't exist or it's a directory", "cannot be opened"]),
    (
        Problem::UnsupportedOperation,
        &["no conversion rule found", "does not support the following onnx operations", "unsupported layer type"],
    ),
    (
        Problem::DynamicInput,
        &["is dynamic. provide data shapes", "supports only static shape", "model with dynamic shapes is available"],
    ),
    (
        Problem::BadModel,
        &[
            "model can't be parsed",
            "unable to read the model",
            "unknown model format",
            "error during import of onnx model",
            "while validating onnx node",
        ],
    ),
    (Problem::OutOfMemory, &["bad_alloc", "memoryerror", "out of memory", "cannot allocate memory"]),
    (Problem::Report, &["benchmark_report", "statistics_report"]),
    (Problem::Installation, &["no module named", "importerror", "modulenotfounderror"]),
];

/// What Python's parser of arguments prints before it ends with 2, and gflags of the C++ tool.
const ARGUMENTS: [&str; 5] = [
    "unrecognized arguments",
    "arguments are required",
    "invalid choice",
    "unknown command line flag",
    "expected one argument",
];

/// `Cannot load library '…': libusb-1.0.so.0: cannot open shared object file: No such file or directory`
fn missing_library(message: String) -> Problem {
    let before = message.split(": cannot open shared object").next().unwrap_or_default();
    let library = before.rsplit([' ', '/', ':']).next().unwrap_or_default().to_owned();
    Problem::MissingLibrary { library, message }
}

/// Looks for causes line by line.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Index into [`CAUSES`], and the message.
    cause: Option<(usize, String)>,
    arguments: Option<String>,
    /// Also printed, with exit code 0, where an argument begins with `-h`, as `-hint` does for versions before 2022.
    usage: Option<String>,
    first: Option<String>,
    /// The first error is only where it was thrown; its message is below.
    wants_message: bool,
}

impl Problems {
    /// A line without blanks around it.
    pub fn take(&mut self, line: &str) {
        // Networks and devices are called in these lines as somebody likes.
        if ["[ INFO ]", "[ WARNING ]", "[ DEBUG ]", "[Step ", "File \"", "W: [", "I: [", "D: ["]
            .iter()
            .any(|start| line.starts_with(start))
        {
            return;
        }
        let error = line.strip_prefix("[ ERROR ]").map(str::trim);
        let message = error.unwrap_or(line);
        let lower = message.to_ascii_lowercase();
        let found = CAUSES.iter().position(|(_, signs)| signs.iter().any(|sign| lower.contains(sign)));
        if let Some(cause) = found.filter(|cause| self.cause.as_ref().is_none_or(|(known, _)| cause < known)) {
            self.cause = Some((cause, shortened(message)));
        }
        if self.usage.is_none() && lower.starts_with("usage: ") {
            self.usage = Some("it does nothing but tell how it is used".to_owned());
        }
        if self.arguments.is_none() && lower.contains("error:") && ARGUMENTS.iter().any(|sign| lower.contains(sign)) {
            self.arguments = Some(shortened(message));
        }
        let is_place = message.starts_with("Exception from ") || message.starts_with("Check '");
        if let Some(error) = error.filter(|_| self.first.is_none()) {
            self.first = Some(shortened(error));
            self.wants_message = is_place || error.is_empty();
        } else if self.wants_message && !is_place && !message.is_empty() && !message.starts_with("FrontEnd API failed")
        {
            self.first = Some(shortened(message));
            self.wants_message = false;
        } else if self.first.is_none() && is_exception(message) {
            self.first = Some(shortened(message));
        }
    }

    pub fn finish(self) -> Option<Problem> {
        match (self.cause, self.arguments) {
            (Some((cause, message)), _) => Some(CAUSES[cause].0(message)),
            (None, Some(message)) => Some(Problem::Arguments(message)),
            (None, None) => self.first.map(Problem::Other).or(self.usage.map(Problem::Arguments)),
        }
    }
}

/// The last line of a traceback: `RuntimeError: …`.
fn is_exception(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(name, _)| {
        (name.ends_with("Error") || name.ends_with("Exception"))
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn shortened(message: &str) -> String {
    // A sentence goes on behind it.
    start_of(message, MAX_MESSAGE).trim_end_matches(['.', ' ', '!']).to_owned()
}
