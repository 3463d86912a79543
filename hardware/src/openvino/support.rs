//! Which OpenVINO drives which Neural Compute Stick.
//!
//! The second stick (Myriad X) works up to the long-term release 2022.3; the plugin was removed in 2023.0
//! (openvinotoolkit/openvino, pull request 18736). The first (Myriad 2) works up to 2020.3. The Python packages are
//! behind: 2021.4.2 is the last with the plugin and its firmware; those of 2022 lack it.

use super::version::{Version, version};

/// The last release for the second stick.
const LAST_SECOND: Version = Version::new(2022, 3);
/// The last release whose Python packages have the plugin.
const LAST_WHEEL: Version = Version::new(2021, 4);
/// The last release for the first stick.
const LAST_FIRST: Version = Version::new(2020, 3);

/// How to install the version with the plugin.
const INSTALL_WHEEL: &str = "Install 2021.4.2 with `scripts/openvino.sh 2021.4.2`, which needs Python 3.6 to 3.9 and, \
                             on Debian, the package libusb-1.0-0";

/// Whether a version of OpenVINO, however it was installed, drives a device.
///
/// `device` is what benchmark_app is given: `MYRIAD`, `MYRIAD.1.2-ma2480`, `HETERO:MYRIAD,CPU`. A first stick is known
/// by its chip, `ma2450`, at the end of its name; `MYRIAD` alone may be either. Other devices, and versions that are
/// none, such as a build of one's own, are let pass.
///
/// # Errors
///
/// When the version is too new for the stick; the error names the version to install, and how.
pub(super) fn check(device: &str, version_text: &str) -> Result<(), String> {
    let Some(stick) = stick(device) else { return Ok(()) };
    let Some(found) = version(version_text) else { return Ok(()) };
    if stick.is_first && !found.is_up_to(LAST_FIRST) {
        return Err(format!(
            "OpenVINO {version_text} does not drive the first Neural Compute Stick ({device}, Myriad 2): 2020.3 was the \
             last. Install 2020.3 from Intel's archive (it never was a Python package), and name its benchmark_app; or \
             use a second stick (Myriad X)"
        ));
    }
    if found.is_up_to(LAST_SECOND) {
        return Ok(());
    }
    Err(format!(
        "OpenVINO {version_text} does not drive a Neural Compute Stick ({device}) any more: 2022.3 was the last for the \
         second stick, 2020.3 for the first. {INSTALL_WHEEL}"
    ))
}

/// Whether a version of OpenVINO that was installed as Python packages drives a device: [`check`], and whether its
/// packages have the plugin.
///
/// # Errors
///
/// As [`check`], and for the versions of 2022.
pub(super) fn check_wheel(device: &str, version_text: &str) -> Result<(), String> {
    check(device, version_text)?;
    match version(version_text) {
        Some(found) if is_stick(device) && !found.is_up_to(LAST_WHEEL) => Err(format!(
            "the Python packages of OpenVINO {version_text} have no plugin for {device}: those of 2021.4.2 were the \
                 last. {INSTALL_WHEEL}; or install {version_text} from Intel's archive, and name its benchmark_app"
        )),
        _ => Ok(()),
    }
}

/// Whether a device is a stick, or has one among its parts.
pub(super) fn is_stick(device: &str) -> bool {
    stick(device).is_some()
}

struct Stick {
    is_first: bool,
}

fn stick(device: &str) -> Option<Stick> {
    let parts = || device.split([':', ',', '(', ')']).map(str::trim);
    let is_stick = |part: &&str| part.split('.').next().is_some_and(|name| name.eq_ignore_ascii_case("MYRIAD"));
    let mut sticks = parts().filter(is_stick).peekable();
    sticks.peek()?;
    Some(Stick { is_first: sticks.any(|part| part.to_ascii_lowercase().contains("ma2450")) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_stick_up_to_its_last_version() {
        let (second, first) = ("MYRIAD", "MYRIAD.1.2-ma2450");
        for (device, version, works, works_from_wheel) in [
            (second, "2020.3.2", true, true),
            (second, "2021.4.2-3976-0943ed67223-refs/pull/539/head", true, true),
            (second, "2022.1.0", true, false),
            (second, "2022.3.2", true, false),
            (second, "2023.0.0", false, false),
            (second, "2026.4.1", false, false),
            ("MYRIAD.1.2-ma2480", "2022.3", true, false),
            ("HETERO:MYRIAD,CPU", "2024.6.0", false, false),
            ("MULTI:CPU(2),MYRIAD(4)", "2024.6.0", false, false),
            (first, "2020.3", true, true),
            (first, "2020.4", false, false),
            (first, "2021.4.2", false, false),
            ("CPU", "2026.4.1", true, true),
            ("HETERO:GPU,CPU", "2026.4.1", true, true),
            (second, "custom_2019_b0c5accaf8", true, true),
        ] {
            assert_eq!(check(device, version).is_ok(), works, "{device} {version}");
            assert_eq!(check_wheel(device, version).is_ok(), works_from_wheel, "{device} {version}");
        }
    }

    #[test]
    fn an_error_names_the_version_to_install() {
        for (error, words) in [
            (check("MYRIAD", "2026.4.1"), ["2026.4.1", "scripts/openvino.sh 2021.4.2", "3.6 to 3.9", "libusb-1.0-0"]),
            (check_wheel("MYRIAD", "2022.3.2"), ["2022.3.2", "scripts/openvino.sh 2021.4.2", "archive", "libusb"]),
            (check("MYRIAD.1-ma2450", "2021.4.2"), ["2021.4.2", "2020.3", "archive", "Myriad 2"]),
        ] {
            let error = error.unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(device in any::<String>(), version in "20[12][0-9][.][0-9]{0,12}|.*") {
            let _ = check(&device, &version);
            let _ = check_wheel(&format!("HETERO:{device},MYRIAD"), &version);
        }
    }
}
