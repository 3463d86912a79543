//! Which OpenVINO drives which Neural Compute Stick.
//!
//! The second stick (Myriad X) works up to the long-term release 2022.3; the plugin was removed in 2023.0
//! (openvinotoolkit/openvino, pull request 18736). The first (Myriad 2) works up to 2020.3. The Python packages are
//! behind: 2021.4.2 is the last with the plugin and its firmware; those of 2022 lack it.

/// Year, and release of that year: 2021.4.2 is `(2021, 4)`.
pub(super) type Version = (u32, u32);

/// The last release for the second stick.
const LAST_SECOND: Version = (2022, 3);
/// The last release whose Python packages have the plugin.
const LAST_WHEEL: Version = (2021, 4);
/// The last release for the first stick.
const LAST_FIRST: Version = (2020, 3);

/// How to install the version with the plugin.
const INSTALL_WHEEL: &str = "Install 2021.4.2 with `scripts/openvino.sh 2021.4.2`, which needs Python 3.6 to 3.9 and, \
                             on Debian, the package libusb-1.0-0";

/// The version in a text, where there is one: builds of one's own are called otherwise.
pub(super) fn version(text: &str) -> Option<Version> {
    // `custom_2019_b0c5…` and `custom_releases/2021/4_…` have only digits in common with one.
    let start = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = start.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '/')).unwrap_or(start.len());
    let mut parts = start[..end].split(['.', '/']).map(|part| part.parse::<u32>().ok());
    let year = parts.next().flatten().filter(|year| (2018..2100).contains(year))?;
    let release = parts.next().flatten().filter(|release| *release < 100)?;
    Some((year, release))
}

/// Whether a version of OpenVINO, installed as Python packages where it is a `wheel`, drives a device.
///
/// `device` is what benchmark_app is given: `MYRIAD`, `MYRIAD.1.2-ma2480`, `HETERO:MYRIAD,CPU`. A first stick is known
/// by its chip, `ma2450`, at the end of its name; `MYRIAD` alone may be either. Other devices, and versions that are
/// none, such as a build of one's own, are let pass.
///
/// # Errors
///
/// When the version is too new for the stick, or its packages lack the plugin; the error names the version to install,
/// and how.
pub(super) fn check(device: &str, build: &str, is_wheel: bool) -> Result<(), String> {
    let Some(found) = version(build).filter(|_| is_stick(device)) else { return Ok(()) };
    if found > LAST_FIRST && sticks(device).any(|stick| stick.to_ascii_lowercase().contains("ma2450")) {
        return Err(format!(
            "OpenVINO {build} does not drive the first Neural Compute Stick ({device}, Myriad 2): 2020.3 was the last. \
             Install 2020.3 from Intel's archive (it never was a Python package), and name its benchmark_app; or use a \
             second stick (Myriad X)"
        ));
    }
    if found > LAST_SECOND {
        return Err(format!(
            "OpenVINO {build} does not drive a Neural Compute Stick ({device}) any more: 2022.3 was the last for the \
             second stick, 2020.3 for the first. {INSTALL_WHEEL}"
        ));
    }
    if is_wheel && found > LAST_WHEEL {
        return Err(format!(
            "the Python packages of OpenVINO {build} have no plugin for {device}: those of 2021.4.2 were the last. \
             {INSTALL_WHEEL}; or install {build} from Intel's archive, and name its benchmark_app"
        ));
    }
    Ok(())
}

/// Whether a device is a stick, or has one among its parts.
pub(super) fn is_stick(device: &str) -> bool {
    sticks(device).next().is_some()
}

/// The parts of a device that are sticks.
fn sticks(device: &str) -> impl Iterator<Item = &str> {
    let is_stick = |part: &&str| part.split('.').next().is_some_and(|name| name.eq_ignore_ascii_case("MYRIAD"));
    device.split([':', ',', '(', ')']).map(str::trim).filter(is_stick)
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
            assert_eq!(check(device, version, false).is_ok(), works, "{device} {version}");
            assert_eq!(check(device, version, true).is_ok(), works_from_wheel, "{device} {version}");
        }
    }

    #[test]
    fn an_error_names_the_version_to_install() {
        for (device, version, is_wheel, words) in [
            ("MYRIAD", "2026.4.1", false, ["2026.4.1", "scripts/openvino.sh 2021.4.2", "3.6 to 3.9", "libusb-1.0-0"]),
            ("MYRIAD", "2022.3.2", true, ["2022.3.2", "scripts/openvino.sh 2021.4.2", "archive", "libusb"]),
            ("MYRIAD.1-ma2450", "2021.4.2", false, ["2021.4.2", "2020.3", "archive", "Myriad 2"]),
        ] {
            let error = check(device, version, is_wheel).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn versions_as_they_are_printed() {
        for (text, expected) in [
            ("2021.4.2", Some((2021, 4))),
            ("2021.4.2-3976-0943ed67223-refs/pull/539/head", Some((2021, 4))),
            ("2026.4.1-22982-e213a147257-releases/2026/4", Some((2026, 4))),
            ("2020.3", Some((2020, 3))),
            ("custom_releases/2021/4_5f3", Some((2021, 4))),
            ("custom_2019_b0c5accaf8e0c0fac17aaef688478d7f391d05bb", None),
            ("37588", None),
            ("2.1", None),
            ("2021", None),
            ("", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(device in any::<String>(), text in "20[12][0-9][.][0-9]{0,12}|.*", like in "[0-9./_a-z-]{0,30}") {
            let _ = check(&device, &text, false);
            let _ = check(&format!("HETERO:{device},MYRIAD"), &text, true);
            let _ = version(&like);
        }
    }
}
