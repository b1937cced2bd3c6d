//! The licences of other people's crates that are in nvmm, by what cargo knows and their sources have.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The beginnings of the names of files with licences.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// A crate.
#[derive(Debug)]
struct Package {
    /// The name and version.
    name: String,
    /// The licence, by its Cargo.toml.
    licence: String,
    /// The texts in its source.
    texts: Vec<String>,
}

/// The licences, each text once, with the crates that have it.
///
/// # Errors
///
/// cargo does not tell of the crates, or their sources can't be read.
pub(crate) fn all(repository: &Path) -> Result<String> {
    let options =
        ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(cargo).args(options).current_dir(repository).output().context("starting cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    Ok(told(&packages(&metadata)?))
}

fn told(packages: &[Package]) -> String {
    let mut text = String::from(
        "nvmm has code of these crates in it, each under the licence that follows its name. Their texts come after the list.\n\n",
    );
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {}: {}", package.name, package.licence);
        package.texts.iter().for_each(|each| texts.entry(each).or_default().push(&package.name));
    }
    for (each, names) in texts {
        let line = "-".repeat(80);
        let _ = writeln!(text, "\n{line}\n{}\n{line}\n\n{}", names.join(", "), each.trim_end());
    }
    text
}

/// The crates of others that are linked into vmm, in order of their names.
fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let all = list(&metadata["packages"]);
    let by_id: BTreeMap<_, _> =
        all.iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let nodes = list(&metadata["resolve"]["nodes"]);
    let nodes: BTreeMap<_, _> = nodes.iter().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let is_macro = |id: &str| {
        let targets = by_id.get(id).map(|package| list(&package["targets"])).unwrap_or_default();
        targets.iter().any(|target| list(&target["kind"]).contains(&Value::from("proc-macro")))
    };
    let start =
        all.iter().find(|package| package["name"] == "vmm").and_then(|package| package["id"].as_str());
    let mut left = vec![start.context("cargo metadata has no vmm")?.to_owned()];
    let mut linked = BTreeSet::new();
    while let Some(id) = left.pop() {
        // A macro's code is not in the program, nor is that which builds it.
        if is_macro(&id) || !linked.insert(id.clone()) {
            continue;
        }
        for dependency in nodes.get(id.as_str()).map(|node| list(&node["deps"])).unwrap_or_default() {
            let is_linked = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            left.extend(dependency["pkg"].as_str().filter(|_| is_linked).map(str::to_owned));
        }
    }
    let mut packages = Vec::new();
    for package in
        linked.iter().filter_map(|id| by_id.get(id.as_str())).filter(|package| !package["source"].is_null())
    {
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let folder = text("manifest_path");
        let texts = texts(Path::new(&folder).parent().unwrap_or(Path::new("")))?;
        packages.push(Package {
            name: format!("{} {}", text("name"), text("version")),
            licence: text("license"),
            texts,
        });
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// The texts of licences in a crate's folder.
fn texts(folder: &Path) -> Result<Vec<String>> {
    let reading = || format!("reading {}", folder.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            texts
                .push(String::from_utf8_lossy(&fs::read(&path).with_context(reading)?).replace("\r\n", "\n"));
        }
    }
    texts.sort();
    Ok(texts)
}

#[cfg(test)]
#[path = "licences_test.rs"]
mod tests;
