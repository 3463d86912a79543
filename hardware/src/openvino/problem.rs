//! Why benchmark_app failed.

/// Longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 500;

/// A failure that the output reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub kind: Kind,
    /// The message, and what can be done about it.
    pub text: String,
}

/// What a failure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The model cannot be run.
    Model,
    /// The user has to change something.
    Settings,
    /// The stick is not there, or in use.
    Away,
    /// There is too little memory for the model.
    Memory,
    /// Another failure, which may pass.
    Other,
}

/// A cause with the signs that it has in the output, in lower case.
struct Cause {
    kind: Kind,
    says: &'static str,
    advice: &'static str,
    signs: &'static [&'static str],
}

/// The causes in the order of what they explain: one that stands first wins, since the others are its consequences. Seen
/// in 2021.4.2, 2022.3.2 and 2026.4.1, or in reports on GitHub: of sticks openvinotoolkit/openvino #236, #3807, #12429,
/// #14128, #18321, open_model_zoo #34.
const CAUSES: [Cause; 14] = [
    Cause {
        kind: Kind::Settings,
        says: MISSING_LIBRARY,
        advice: "Install the driver that the device needs",
        signs: &["cannot open shared object file"],
    },
    Cause {
        kind: Kind::Away,
        says: "another program uses the Neural Compute Stick",
        advice: "End it, or wait: a stick serves one at a time",
        signs: &["device_already_in_use", "nc_busy", "libusb_error_busy", "already in use"],
    },
    Cause {
        kind: Kind::Away,
        says: "no Neural Compute Stick is found",
        advice: "Plug it in; end what else uses it; `lsusb` must show 03e7",
        signs: &["device_not_found", "failed to find device", "failed to find suitable device"],
    },
    Cause {
        kind: Kind::Away,
        says: "the Neural Compute Stick was lost",
        advice: "Was it unplugged? It may want a powered USB hub, or to be cooled; unplug it, plug it in and measure again",
        signs: &["from fifo", "to fifo", "x_link_error", "x_link_communication", "nc_gone"],
    },
    // OpenVINO says the same of a missing stick, a busy one, and one that the user has no right to.
    Cause {
        kind: Kind::Away,
        says: "the Neural Compute Stick cannot be opened",
        advice: "It is not plugged in (`lsusb` must show 03e7), or another program uses it, or the user lacks the right \
                 (Movidius' udev rules, group `users`), or it hangs: unplug it and plug it in again",
        signs: &[
            "can not init myriad device",
            "can not init usb device",
            "myriad device is not opened",
            "failed to find booted device",
            "appear after boot",
            "appear after reboot",
        ],
    },
    Cause {
        kind: Kind::Settings,
        says: "OpenVINO has no such device",
        advice: "Check its name and driver; MYRIAD is in versions up to 2022.3 only, and in the Python packages up to \
                 2021.4.2",
        signs: &["name is not registered", "no supported devices found", "no available devices"],
    },
    Cause {
        kind: Kind::Model,
        says: "OpenVINO does not find the model's file, or may not read it",
        advice: "Check the path on the machine it runs on",
        signs: &["could not open the file", "doesn't exist or it's a directory", "cannot be opened"],
    },
    Cause {
        kind: Kind::Model,
        says: "the model has an operation that this OpenVINO does not know, or the device lacks",
        advice: "Leave it out of the search space, or take a newer version where the device allows it",
        signs: &[
            "no conversion rule found",
            "does not support the following onnx operations",
            "unsupported layer type",
        ],
    },
    Cause {
        kind: Kind::Model,
        says: "an input of the model has no fixed shape",
        advice: "Export it with the shape it is measured with, batch 1",
        signs: &[
            "is dynamic. provide data shapes",
            "supports only static shape",
            "model with dynamic shapes is available",
        ],
    },
    Cause {
        kind: Kind::Model,
        says: "this OpenVINO does not take a node of the model: its operation, or the shapes of its inputs",
        advice: "Leave the operation out of the search space, export it with another shape or opset, or take a newer \
                 version where the device allows it",
        signs: &["while validating onnx node"],
    },
    Cause {
        kind: Kind::Model,
        says: "OpenVINO cannot read the model",
        advice: "Is the file whole, and ONNX? Export or copy it again",
        signs: &[
            "model can't be parsed",
            "unable to read the model",
            "unknown model format",
            "error during import of onnx model",
        ],
    },
    Cause {
        kind: Kind::Memory,
        says: "there is not enough memory for the model",
        advice: "Close other programs, or bound the size of the networks",
        signs: &[
            "bad_alloc",
            "memoryerror",
            "out of memory",
            "cannot allocate memory",
            // OpenCL and the plugin of the GPU.
            "allocation_failure",
            "cl_out_of_host_memory",
            "cl_out_of_resources",
            "max size of memory object allocation",
            "failed to allocate",
            "can not allocate",
        ],
    },
    // Shows only after the measurement.
    Cause {
        kind: Kind::Other,
        says: "the report could not be written",
        advice: "Is the disk full?",
        signs: &["benchmark_report", "statistics_report"],
    },
    Cause {
        kind: Kind::Settings,
        says: "OpenVINO is not installed as it should be",
        advice: "Make its environment again with `scripts/openvino.sh`",
        signs: &["no module named", "importerror", "modulenotfounderror"],
    },
];

const MISSING_LIBRARY: &str = "a library of the system is missing";

/// What Python's parser of arguments prints before it ends with 2, and gflags of the C++ tool.
const ARGUMENTS: [&str; 5] = [
    "unrecognized arguments",
    "arguments are required",
    "invalid choice",
    "unknown command line flag",
    "expected one argument",
];

impl Cause {
    fn problem(&self, message: &str) -> Problem {
        let advice = match self.says {
            MISSING_LIBRARY if message.contains("libusb") => {
                "Install libusb-1.0-0 (on Debian and Ubuntu), which MYRIAD needs"
            }
            MISSING_LIBRARY if message.contains("OpenCL") => {
                "Install the driver for OpenCL (intel-opencl-icd on Debian and Ubuntu), which GPU needs"
            }
            _ => self.advice,
        };
        Problem { kind: self.kind, text: format!("{}: {message}. {advice}", self.says) }
    }
}

/// Arguments that this version does not know.
fn bad_arguments(message: &str) -> Problem {
    let text =
        format!("benchmark_app does not understand its arguments: {message}. Is the version the one that was named?");
    Problem { kind: Kind::Settings, text }
}

/// Looks for causes, line by line.
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
        // These lines hold names of networks and devices, which may be anything.
        if ["[ INFO ]", "[ WARNING ]", "[ DEBUG ]", "[Step ", "File \"", "W: [", "I: [", "D: ["]
            .iter()
            .any(|start| line.starts_with(start))
        {
            return;
        }
        let error = line.strip_prefix("[ ERROR ]").map(str::trim);
        let message = error.unwrap_or(line);
        let lower = message.to_ascii_lowercase();
        let found = CAUSES.iter().position(|cause| cause.signs.iter().any(|sign| lower.contains(sign)));
        let is_place = ["Exception from ", "Check '", "While validating node ", "[GPU] ProgramBuilder build failed"]
            .iter()
            .any(|start| message.starts_with(start));
        if let Some(cause) = found.filter(|cause| self.cause.as_ref().is_none_or(|(known, _)| cause < known)) {
            self.cause = Some((cause, shortened(message)));
        } else if let Some((_, known)) = self.cause.as_mut().filter(|(_, known)| known.ends_with(':')) {
            // The reason follows, below the places that it was found at.
            if !is_place && !message.is_empty() {
                *known = shortened(&format!("{known} {message}"));
            }
        }
        if self.usage.is_none() && lower.starts_with("usage: ") {
            self.usage = Some("it only prints its usage".to_owned());
        }
        if self.arguments.is_none() && lower.contains("error:") && ARGUMENTS.iter().any(|sign| lower.contains(sign)) {
            self.arguments = Some(shortened(message));
        }
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
            (Some((cause, message)), _) => Some(CAUSES[cause].problem(&message)),
            (None, Some(message)) => Some(bad_arguments(&message)),
            (None, None) => {
                let other = |message| Problem { kind: Kind::Other, text: format!("benchmark_app failed: {message}") };
                self.first.map(other).or(self.usage.as_deref().map(bad_arguments))
            }
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
    message[..message.floor_char_boundary(MAX_MESSAGE)].trim_end_matches(['.', ' ', '!']).to_owned()
}
