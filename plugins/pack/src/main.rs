//! `toolglot-plugin-pack MODULE COMPONENT`: makes a component of a core module that a compiler built with
//! the SDK. Family folders are packed by `toolglot pack`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [module, component] = arguments.as_slice() else {
        eprintln!("usage: toolglot-plugin-pack MODULE COMPONENT");
        return ExitCode::from(2);
    };
    let result = std::fs::read(module)
        .map_err(|error| format!("cannot read {}: {error}", module.display()))
        .and_then(|module| toolglot_plugin_pack::encode(&module).map_err(|error| error.to_string()))
        .and_then(|bytes| {
            std::fs::write(component, bytes)
                .map_err(|error| format!("cannot write {}: {error}", component.display()))
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", module.display());
            ExitCode::FAILURE
        }
    }
}
