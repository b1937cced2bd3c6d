//! Compiles the tiny guests that levels 0 and 1 run.

#[path = "../support/compile.rs"]
mod compile;

use std::{env, path::Path};

fn main() -> Result<(), String> {
    let out = env::var("OUT_DIR").map_err(|error| error.to_string())?;
    println!("cargo::rerun-if-changed=../guests");
    for name in ["spin", "power_off", "cpuid", "debugged", "gif", "halted", "nesting", "snapshot"] {
        let source = Path::new("../guests").join(name).with_extension("rs");
        compile::compile(&source, &Path::new(&out).join(name))?;
    }
    Ok(())
}
