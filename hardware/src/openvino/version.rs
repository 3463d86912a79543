//! Versions of OpenVINO: 2021.4.2, 2022.3.2-9279-e2c7e4d7b4d-releases/2022/3.

/// Year, release of that year, and patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub year: u32,
    pub release: u32,
    pub patch: u32,
}

impl Version {
    /// A version without its patch.
    pub const fn new(year: u32, release: u32) -> Self {
        Self { year, release, patch: 0 }
    }

    /// Whether it is this release, with any patch, or an earlier one.
    pub fn is_up_to(self, release: Self) -> bool {
        (self.year, self.release) <= (release.year, release.release)
    }
}

/// The version in a text, where there is one: builds of one's own are called otherwise.
pub(super) fn version(text: &str) -> Option<Version> {
    // `custom_2019_b0c5…` and `custom_releases/2021/4_…` have only digits in common with one.
    let start = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = start.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '/')).unwrap_or(start.len());
    let mut parts = start[..end].split(['.', '/']).map(|part| part.parse::<u32>().ok());
    let year = parts.next().flatten().filter(|year| (2018..2100).contains(year))?;
    let release = parts.next().flatten()?;
    let patch = parts.next().flatten().filter(|&patch| patch < 1000).unwrap_or(0);
    (release < 100).then_some(Version { year, release, patch })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_as_they_are_printed() {
        for (text, expected) in [
            ("2021.4.2", Some((2021, 4, 2))),
            ("2021.4.2-3976-0943ed67223-refs/pull/539/head", Some((2021, 4, 2))),
            ("2026.4.1-22982-e213a147257-releases/2026/4", Some((2026, 4, 1))),
            ("2020.3", Some((2020, 3, 0))),
            ("custom_releases/2021/4_5f3", Some((2021, 4, 0))),
            ("custom_2019_b0c5accaf8e0c0fac17aaef688478d7f391d05bb", None),
            ("37588", None),
            ("2.1", None),
            ("2021", None),
            ("", None),
        ] {
            assert_eq!(version(text).map(|found| (found.year, found.release, found.patch)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), like in "[0-9./_a-z-]{0,30}") {
            let _ = version(&text);
            let _ = version(&like);
        }
    }
}
