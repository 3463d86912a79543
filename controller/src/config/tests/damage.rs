//! Damaged experiment files.

use proptest::prelude::*;

use super::*;

/// Every shipped experiment, and one of each kind that they leave out.
fn texts() -> Vec<String> {
    let more = "[search]\nevaluations = 3\nobjectives = ['error', 'time_ms']\nbounds = { error = 0.5 }\n\
                [input]\nshape = [3, 32, 32]\nclasses = 10\n[space]\nname = 'mobile'\nkernels = [3, 5]\n\
                [strategy]\nname = 'evolution'\ncrossover = 0.5\n[data]\nname = 'folder'\ndir = 'x'\n\
                [devices.a]\nkind = 'host'\nmeter = { kind = 'rapl', period_ms = 20 }\nenergy = { window_s = 2 }\n\
                [devices.b]\nkind = 'jetson'\nhost = 'b'\nuser = 'u'\nidle_s = 1.5\ntimeout_s = 7\n\
                [devices.c]\nkind = 'openvino'\ndevice = 'CPU'\ngrace_s = 3.0\nthreads = 2\n";
    let shipped = shipped().into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    shipped.chain([more.to_owned()]).collect()
}

/// A text of which a word or a character is another, or a piece is missing or doubled. Words are changed too, for most
/// bytes of a file are of comments.
fn damaged() -> impl Strategy<Value = String> {
    let words = prop::sample::select(
        &[
            "0",
            "-1",
            "1e400",
            "nan",
            "\"x\"",
            "[]",
            "{}",
            "true",
            "9223372036854775807",
            "1.5",
            "kind",
            "[",
            "'",
            "name",
            "#",
            "=",
            "\n",
            "",
        ][..],
    );
    (prop::sample::select(texts()), words, any::<(prop::sample::Index, prop::sample::Index)>(), 0..4_u8).prop_map(
        |(text, word, (from, to), kind)| {
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
            let mut text = lines.join("\n") + "\n";
            let place = |at: usize| text.floor_char_boundary(at);
            let (from, to) = (place(from.index(text.len())), place(to.index(text.len())));
            let (from, to) = (from.min(to), from.max(to));
            match kind {
                0 => text.truncate(from),
                1 => text.replace_range(from..to.min(text.ceil_char_boundary(from + 40)), word),
                2 => text.insert_str(to, word),
                _ => {
                    // The value of the line.
                    let start = text[..from].rfind('=').map_or(from, |at| at + 1);
                    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
                    text.replace_range(start..end, word);
                }
            }
            text
        },
    )
}

/// An experiment that is read can be written, read again, and used; an error names the file, and a line that it has.
fn check(text: &str, overrides: &[String]) -> Result<(), TestCaseError> {
    match Experiment::parse(text, "x.toml", overrides) {
        Ok(experiment) => {
            let written = experiment.to_toml().unwrap();
            // By their texts: NaN does not equal itself.
            let again = Experiment::parse(&written, "written", &[]).map_err(|error| error.to_string());
            prop_assert_eq!(again.map(|again| again.to_toml().unwrap()), Ok(written));
            prop_assert!(experiment.fingerprint().is_ok() && experiment.space.build().is_ok());
            let plan = &experiment.measuring;
            // As a device does with it.
            let _ = std::time::Instant::now() + plan.warm_up + plan.time_limit;
            if let (Some(input), Ok(space)) = (experiment.input, experiment.space.build()) {
                let first = child::space::Architecture::new(vec![0; space.decisions().len()]);
                let _ = space.graph(&first, input.shape(), input.classes).map(|graph| graph.pruned().cost());
            }
        }
        Err(error) => {
            let message = error.to_string();
            prop_assert!(!message.is_empty());
            if let Some(place) =
                message.strip_prefix("x.toml:").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            {
                let line: usize = place.split(':').next().unwrap().parse().unwrap();
                prop_assert!((1..=text.split('\n').count()).contains(&line), "{}", message);
            }
            for words in
                ["expected f64", "expected usize", "expected u64", "expected u32", "expected struct", "tagged enum"]
            {
                prop_assert!(!message.contains(words), "{}", message);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_experiments_are_read_whole_or_refused_at_a_line_they_have(text in damaged()) {
        check(&text, &[])?;
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}|([a-z.]{1,8} ?= ?[\\[{'\"0-9a-z., =}\\]]{0,12}\n|\\[[a-z.]{0,16}\\]\n){0,8}") {
        check(&text, &[])?;
    }

    /// An override by `--set` is accepted, or the error names it.
    #[test]
    fn no_override_makes_it_panic(
        overrides in prop::collection::vec(
            ("(search[.](evaluations|batch|seed|bounds|objectives)|devices[.][ab]([.](kind|host|user|port|meter[.]kind|energy))?|space[.](name|channels|cells)|measuring[.]time_limit_ms|input([.]shape)?|[a-z.]{0,9})",
             "=|", "(host|jetson|mobile|rapl|-?[0-9]{1,19}|[0-9]e[0-9]{1,3}|\\[[0-9, ]{0,9}\\]|\\{ ?[a-z]{0,5} ?=? ?[0-9]? ?\\}|.{0,9})"), 1..5),
    ) {
        let overrides: Vec<String> = overrides.into_iter().map(|(key, sign, value)| format!("{key}{sign}{value}")).collect();
        check("", &overrides)?;
        if let Err(error @ ConfigError::Invalid { .. }) = Experiment::parse("", "x.toml", &overrides) {
            let message = error.to_string();
            prop_assert!(overrides.iter().any(|given| message.starts_with(&format!("--set {given}: "))), "{}", message);
        }
    }
}
