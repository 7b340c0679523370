//! What detection and look-up are beside each family's own template, which the workbench checks.

use toolglot_parsers::Registry;

#[test]
fn a_template_without_calls_is_no_family() {
    let registry = Registry::builtin().unwrap();
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
    let chat_tokens = |token: &str| ["<|im_start|>", "<|im_end|>"].contains(&token);
    assert!(registry.detect(Some(template), &chat_tokens).unwrap().is_none());
}

#[test]
fn no_two_families_share_a_name() {
    let registry = Registry::builtin().unwrap();
    for family in registry.iter() {
        let manifest = family.manifest();
        for name in manifest.aliases.iter().chain([&manifest.id]) {
            assert_eq!(registry.get(name).unwrap().manifest().id, manifest.id, "{name}");
        }
    }
}
