//! The order of the source files: no cycles between them, and none too long.
//!
//! A file depends on another if it uses a name that the other defines; a re-export in between doesn't count. Files in a cycle can only be
//! read together. Code that several files need belongs below them, and code that selects among them above.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree, Visibility, visit::Visit};

/// The crates, and the root file of each.
const CRATES: [(&str, &str); 4] = [
    ("arch", "arch/src/lib.rs"),
    ("devices", "devices/src/lib.rs"),
    ("vmm", "vmm/src/lib.rs"),
    ("nvmm", "vmm/src/main.rs"),
];
/// The most lines of a file.
const MOST_LINES: usize = 400;
/// Tables, whose length depends on their contents.
const TABLES: [&str; 4] = [
    "arch/src/cpu/feature/",
    "arch/src/cpu/model/",
    "vmm/src/cli/qemu/table.rs",
    "vmm/src/sandbox/allowed.rs",
];

/// A module by its path from the crate's name on.
type Name = Vec<String>;

/// A module: a file, or a part of one.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// The names that it defines.
    items: BTreeSet<String>,
    /// The names that it imports, each with its path.
    uses: Vec<Use>,
    /// Every path in its code, with the words of attributes and macros.
    paths: BTreeSet<Name>,
}

/// A name that is imported; `*` means all.
struct Use {
    name: String,
    path: Name,
    is_reexport: bool,
}

#[derive(Default)]
struct Sources {
    modules: BTreeMap<Name, Module>,
}

impl Sources {
    /// Reads the crates, each given by its name and its root file.
    fn read(root: &Path, crates: &[(&str, &str)]) -> Self {
        let mut sources = Self::default();
        for (name, start) in crates {
            let file = root.join(start);
            sources.add_file(vec![(*name).to_owned()], &file, file.parent().unwrap());
        }
        sources
    }

    /// Adds the module in `file`, whose child modules are in `folder`.
    fn add_file(&mut self, name: Name, file: &Path, folder: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.add(name, file, folder, &parsed.items);
    }

    fn add(&mut self, name: Name, file: &Path, folder: &Path, items: &[Item]) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            module.items.extend(defined(item));
            match item {
                Item::Use(_) => {}
                Item::Mod(inner) => {
                    let child = inner.ident.to_string();
                    let path = [&name[..], std::slice::from_ref(&child)].concat();
                    let folder = folder.join(&child);
                    match &inner.content {
                        Some((_, items)) => self.add(path, file, &folder, items),
                        None => {
                            let beside = folder.with_extension("rs");
                            let file = if beside.exists() { beside } else { folder.join("mod.rs") };
                            self.add_file(path, &file, &folder);
                        }
                    }
                    continue;
                }
                item => paths(item.to_token_stream(), &mut module.paths),
            }
            Uses(&mut module.uses).visit_item(item);
        }
        self.modules.insert(name, module);
    }

    /// The file that defines the item that `path` refers to in the module `from`, and the item's name there; none for other crates.
    fn definition<'a>(&'a self, from: &Name, path: &[String], depth: u8) -> Option<(&'a Path, &'a str)> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => from[..1].to_vec(),
            "::" => return self.inside(&vec![rest.first()?.clone()], &rest[1..], depth),
            "self" => from.clone(),
            "super" => from.split_last()?.1.to_vec(),
            _ => {
                return self
                    .inside(from, path, depth)
                    .or_else(|| self.inside(&vec![first.clone()], rest, depth));
            }
        };
        match rest.first().map(String::as_str) {
            Some("super") => self.definition(&start, rest, depth),
            _ => self.inside(&start, rest, depth),
        }
    }

    /// The same, searched only in the module `from`.
    fn inside<'a>(&'a self, from: &Name, path: &[String], depth: u8) -> Option<(&'a Path, &'a str)> {
        let module = self.modules.get(from)?;
        let (first, rest) = path.split_first()?;
        let child = [&from[..], std::slice::from_ref(first)].concat();
        if let Some(item) = module.items.get(first) {
            return Some((&module.file, item));
        }
        if self.modules.contains_key(&child) && !rest.is_empty() {
            return self.inside(&child, rest, depth);
        }
        // Names can refer to each other in a circle.
        let depth = depth.checked_sub(1)?;
        let named = module.uses.iter().filter(|taken| taken.name == *first);
        let named = named.map(|taken| [&taken.path, rest].concat());
        let all = module.uses.iter().filter(|taken| taken.name == "*");
        let all = all.map(|taken| [&taken.path, path].concat());
        named.chain(all).find_map(|path| self.definition(from, &path, depth))
    }

    /// Each file with the files that it depends on, and the names that it uses from them.
    fn needs(&self) -> Needs {
        let mut needs = Needs::new();
        for (name, module) in &self.modules {
            let taken = module.uses.iter().filter(|taken| !taken.is_reexport).map(|taken| &taken.path);
            for path in taken.chain(&module.paths) {
                let taken = self.definition(name, path, 8).filter(|(file, _)| *file != module.file);
                if let Some((file, item)) = taken {
                    let names = needs.entry(module.file.clone()).or_default().entry(file.to_owned());
                    names.or_default().insert(item.to_owned());
                }
            }
        }
        needs
    }
}

type Needs = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// Sets of files that depend on each other, directly or through others of their set.
fn circles(needs: &Needs) -> Vec<BTreeSet<&Path>> {
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        needs.keys().map(|file| (&**file, reach(needs, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, reached_from_it) in &reached {
        let back = |other: &&Path| reached.get(*other).is_some_and(|reached| reached.contains(file));
        let circle: BTreeSet<&Path> = reached_from_it.iter().copied().filter(back).collect();
        circles.insert(circle);
    }
    circles.into_iter().filter(|circle| !circle.is_empty()).collect()
}

/// All files that `file` depends on, directly or not.
fn reach<'a>(needs: &'a Needs, file: &Path) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let direct = |file: &Path| needs.get(file).into_iter().flat_map(BTreeMap::keys).map(PathBuf::as_path);
    let mut waiting: Vec<_> = direct(file).collect();
    while let Some(next) = waiting.pop() {
        if reached.insert(next) {
            waiting.extend(direct(next));
        }
    }
    reached
}

/// Returns whether an item exists only for tests.
fn is_test(attributes: &[Attribute]) -> bool {
    let is_word = |tokens: TokenStream| words(tokens).contains("test");
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("cfg") && is_word(attribute.to_token_stream()))
}

fn words(tokens: TokenStream) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    paths(tokens, &mut found);
    found.into_iter().flatten().collect()
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item defines.
fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Collects the names in `use` items, including those in functions.
struct Uses<'a>(&'a mut Vec<Use>);

impl Visit<'_> for Uses<'_> {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        let mut path: Name = item.leading_colon.iter().map(|_| "::".to_owned()).collect();
        self.take(&item.tree, &mut path, is_reexport);
    }
}

impl Uses<'_> {
    fn take(&mut self, tree: &UseTree, path: &mut Name, is_reexport: bool) {
        let mut add = |name: &str, path: Name| self.0.push(Use { name: name.to_owned(), path, is_reexport });
        let with = |path: &Name, last: &syn::Ident| [&path[..], &[last.to_string()]].concat();
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.take(&part.tree, path, is_reexport);
                path.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.take(tree, path, is_reexport)),
            UseTree::Name(name) if name.ident == "self" => {
                add(path.last().map_or("", String::as_str), path.clone());
            }
            UseTree::Name(name) => add(&name.ident.to_string(), with(path, &name.ident)),
            UseTree::Rename(rename) => add(&rename.rename.to_string(), with(path, &rename.ident)),
            UseTree::Glob(_) => add("*", path.clone()),
        }
    }
}

/// Collects the paths in code: words joined by `::`, and single words, but no fields and methods.
fn paths(tokens: TokenStream, found: &mut BTreeSet<Name>) {
    let mut path = Name::new();
    let (mut colons, mut after_dot) = (0, false);
    for token in tokens {
        match token {
            TokenTree::Ident(word) => {
                if colons != 2 {
                    found.insert(std::mem::take(&mut path));
                } else if path.is_empty() {
                    path.push("::".to_owned());
                }
                if !after_dot {
                    path.push(word.to_string());
                }
                (colons, after_dot) = (0, false);
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            token => {
                found.insert(std::mem::take(&mut path));
                colons = 0;
                after_dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
                match token {
                    TokenTree::Group(group) => paths(group.stream(), found),
                    // Function names in serde's attributes.
                    TokenTree::Literal(literal) => {
                        let text = literal.to_string();
                        if let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) {
                            found.insert(path.segments.iter().map(|it| it.ident.to_string()).collect());
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    found.insert(path);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn show(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

static SOURCES: LazyLock<Sources> = LazyLock::new(|| Sources::read(&root(), &CRATES));

#[test]
fn no_files_need_each_other() {
    let needs = SOURCES.needs();
    let mut told = String::new();
    for circle in circles(&needs) {
        writeln!(told, "a circle of {} files:", circle.len()).unwrap();
        for file in &circle {
            for (other, names) in needs[*file].iter().filter(|(other, _)| circle.contains(&***other)) {
                let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                writeln!(told, "  {} -> {}: {names}", show(file), show(other)).unwrap();
            }
        }
    }
    assert!(told.is_empty(), "{told}");
}

#[test]
fn no_file_is_too_long() {
    let files: BTreeSet<_> = SOURCES.modules.values().map(|module| &module.file).collect();
    assert!(files.len() > 100, "only {} files were found", files.len());
    let lines = |file: &Path| fs::read_to_string(file).unwrap().lines().count();
    let long: Vec<_> = files
        .into_iter()
        .map(|file| (show(file), lines(file)))
        .filter(|(file, lines)| *lines > MOST_LINES && !TABLES.iter().any(|tables| file.starts_with(tables)))
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines: {long:?}");
}

#[test]
fn circles_are_found_by_every_way_to_use_a_name() {
    let circle_of = |files: [&str; 3]| {
        let folder = tempfile::tempdir().unwrap();
        let names = ["lib.rs", "a.rs", "b.rs"];
        names.iter().zip(files).for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        let needs = Sources::read(folder.path(), &[("it", "lib.rs")]).needs();
        let circles = circles(&needs);
        assert!(circles.len() < 2);
        let files = circles.into_iter().flatten().map(|file| file.file_name().unwrap());
        files.map(|name| name.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let with_b = |b| circle_of(["pub mod a; mod b; pub use a::A;", "use crate::b::B; pub struct A(B);", b]);
    let (circle, none): (_, [&str; 0]) = (["a.rs", "b.rs"], []);
    assert_eq!(with_b("pub struct B;"), none);
    assert_eq!(with_b("pub struct B; use super::a::A;"), circle);
    assert_eq!(with_b("pub struct B; fn f() { use crate::{a::{self}, b}; a::A::new(); }"), circle);
    // Imported from a re-export, or with everything else.
    assert_eq!(with_b("pub struct B; impl From<crate::A> for B {}"), circle);
    assert_eq!(with_b("pub struct B; use crate::*; fn f(_: A) {}"), circle);
    // In macros and attributes.
    assert_eq!(with_b(r#"pub struct B; fn f() { println!("{}", super::a::A) }"#), circle);
    assert_eq!(with_b(r#"#[serde(with = "crate::A")] pub struct B;"#), circle);
    // Re-exported, imported elsewhere, or only for tests.
    assert_eq!(with_b("pub struct B; pub use crate::a::A;"), none);
    assert_eq!(with_b("pub struct B { A: u8 } fn f(b: B) { b.A; other::A; ::a::A }"), none);
    assert_eq!(with_b("pub struct B; #[cfg(test)] fn f(_: crate::A) {}"), none);
    // A file and its parent module.
    let child = circle_of(["mod a; pub struct L(a::A);", "pub struct A; fn f(_: super::L) {}", ""]);
    assert_eq!(child, ["a.rs", "lib.rs"]);
}
