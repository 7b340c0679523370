//! The judge: every instance is also put before an independent validator.

use serde_json::Value;
use toolglot_schema::{Options, Schema, SchemaError};

/// What the independent validator says; `None` if it does not take the schema.
pub(crate) fn independent(schema: &Value) -> Option<jsonschema::Validator> {
    jsonschema::options().should_validate_formats(false).build(schema).ok()
}

/// Asserts that the schema allows `right` and not `wrong`, by our graph and by the independent validator.
#[allow(dead_code)]
pub(crate) fn check(schema: Value, right: &[Value], wrong: &[Value]) {
    let ours = Schema::compile(&schema, &Options::default()).unwrap_or_else(|e| panic!("{schema}: {e}"));
    let judge = independent(&schema).unwrap_or_else(|| panic!("the validator refuses {schema}"));
    for (instances, allowed) in [(right, true), (wrong, false)] {
        for instance in instances {
            assert_eq!(judge.is_valid(instance), allowed, "validator: {schema} and {instance}");
            assert_eq!(ours.accepts(instance), allowed, "ours: {schema} and {instance}");
        }
    }
}

/// Asserts that the schema is refused at this pointer for this keyword.
#[allow(dead_code)]
pub(crate) fn refused(schema: Value, at: &str, word: &str) {
    match Schema::compile(&schema, &Options::default()) {
        Err(
            SchemaError::Unsupported { pointer, keyword, .. } | SchemaError::Invalid { pointer, keyword, .. },
        ) => {
            assert_eq!((pointer.as_str(), keyword.as_str()), (at, word), "{schema}");
        }
        other => panic!("{schema} should be refused at {at} for {word}, not {other:?}"),
    }
}
