//! Licences and duplicates of the dependencies, by `deny.toml`, without the network.
//!
//! `cargo deny check licenses bans sources` reads the same file and checks more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Licences of packages that state them in a file only, as found there.
const BY_FILE: [(&str, &str); 1] = [("cfg_block", "Apache-2.0")];

/// All packages that are built for Linux, those of the tests included.
fn packages() -> Vec<Value> {
    let metadata = |further: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(PROJECT).args(["metadata", "--locked", "--format-version", "1"]);
        cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).args(further).output().unwrap()
    };
    // Packages that are listed but not built may be absent on a first run: then the network is needed.
    let mut output = metadata(&["--offline"]);
    if !output.status.success() {
        output = metadata(&[]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    found["packages"].as_array().unwrap().clone()
}

fn rules() -> toml::Table {
    std::fs::read_to_string(Path::new(PROJECT).join("deny.toml")).unwrap().parse().unwrap()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

#[test]
fn every_licence_is_allowed() {
    let rules = rules();
    let allowed: BTreeSet<&str> =
        rules["licenses"]["allow"].as_array().unwrap().iter().map(|licence| licence.as_str().unwrap()).collect();
    let mut used = BTreeSet::new();
    let mut rejected = Vec::new();
    for package in packages() {
        let name = name(&package);
        let by_file = BY_FILE.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, licence)| *licence);
        let licence = package["license"].as_str().or(by_file).unwrap_or("");
        // Older packages write `MIT/Apache-2.0`.
        let is_allowed = Expression::parse_mode(licence, ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|wanted| {
                let found = allowed.get(wanted.to_string().as_str());
                used.extend(found);
                found.is_some()
            })
        });
        if !is_allowed {
            rejected.push(format!("{name}: {licence:?}"));
        }
    }
    assert!(rejected.is_empty(), "not allowed by deny.toml: {rejected:?}");
    let unused: Vec<_> = allowed.difference(&used).collect();
    assert!(unused.is_empty(), "no package has these licences any more: {unused:?}");
}

#[test]
fn every_duplicate_package_is_listed() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        versions.entry(name(&package).to_owned()).or_default().push(package["version"].as_str().unwrap().to_owned());
    }
    let numbers = |version: &String| {
        let number = version.split(['-', '+']).next().unwrap_or_default();
        number.split('.').map(|part| part.parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    let mut older = BTreeSet::new();
    for (name, mut versions) in versions {
        versions.sort_by_key(numbers);
        versions.pop();
        older.extend(versions.iter().map(|version| format!("{name}@{version}")));
    }
    let rules = rules();
    let skipped = rules["bans"]["skip"].as_array().unwrap().iter();
    let known: BTreeSet<String> = skipped.map(|entry| entry["crate"].as_str().unwrap().to_owned()).collect();
    let new: Vec<_> = older.difference(&known).collect();
    assert!(new.is_empty(), "there is a newer version of these too: use it, or add them to deny.toml: {new:?}");
    let gone: Vec<_> = known.difference(&older).collect();
    assert!(gone.is_empty(), "take these out of deny.toml: {gone:?}");
}

#[test]
fn everything_comes_from_the_registry() {
    let others: Vec<_> = packages()
        .into_iter()
        .filter(|package| package["source"].as_str().is_some_and(|source| !source.starts_with("registry+")))
        .map(|package| name(&package).to_owned())
        .collect();
    assert!(others.is_empty(), "{others:?}");
}
