//! Every family's chat template against every family: found, and found by no other.

use toolglot_parsers::Registry;

#[test]
fn each_template_names_its_family() {
    let registry = Registry::builtin().unwrap();
    for family in registry.iter() {
        let id = &family.manifest().id;
        let template = family.template().unwrap_or_else(|| panic!("{id} has no template"));
        let found =
            registry.detect(Some(template), &|_| false).unwrap_or_else(|error| panic!("{id}: {error}"));
        let found = found.unwrap_or_else(|| panic!("{id}: its own template names no family"));
        assert_eq!(&found.family.manifest().id, id, "{:?}", found.evidence);
    }
}

#[test]
fn tokens_confirm_the_template() {
    let registry = Registry::builtin().unwrap();
    for family in registry.iter() {
        let manifest = family.manifest();
        let has = |token: &str| manifest.detect.tokens.iter().any(|own| own == token);
        let found = registry.detect(family.template(), &has).unwrap().unwrap();
        assert_eq!(found.family.manifest().id, manifest.id);
        let plain = registry.detect(family.template(), &|_| false).unwrap().unwrap();
        assert!(found.score > plain.score, "{}: tokens add nothing", manifest.id);
    }
}

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
