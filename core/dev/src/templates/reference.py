"""Renders chat templates with jinja2, set up as Hugging Face's transformers sets it up.

Reads one JSON object from stdin: {"now": unix seconds, "variables": {...}, "templates": [{"name", "source"}],
"conversations": [{"name", "messages", "tools", "variables"}]}, and writes to stdout a list with one entry for each template,
conversation and value of add_generation_prompt: {"template", "conversation", "add_generation_prompt"} and one of
"text", "refused" (the template raised) and "error".
"""

import datetime
import json
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

REASONING = ("reasoning_content", "thinking", "reasoning")


class Refused(jinja2.exceptions.TemplateError):
    pass


class Generation(jinja2.ext.Extension):
    """The generation block prints its body; the spans are of no interest here."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def refuse(message=""):
    raise Refused(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment(now):
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = to_json
    env.globals["raise_exception"] = refuse
    moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).replace(tzinfo=None)
    env.globals["strftime_now"] = moment.strftime
    return env


def with_reasoning(message):
    value = next((message[key] for key in REASONING if message.get(key) is not None), None)
    return message if value is None else {"thinking": value, **message, "reasoning_content": value}


def main():
    job = json.load(sys.stdin)
    env = environment(job["now"])
    results = []
    for template in job["templates"]:
        try:
            compiled = env.from_string(template["source"])
            broken = None
        except Exception as e:
            broken = f"{type(e).__name__}: {e}"
        for conversation in job["conversations"]:
            for prompt in (False, True):
                entry = {
                    "template": template["name"],
                    "conversation": conversation["name"],
                    "add_generation_prompt": prompt,
                }
                results.append(entry)
                if broken:
                    entry["error"] = broken
                    continue
                try:
                    entry["text"] = compiled.render(
                        **{
                            **job["variables"],
                            **conversation.get("variables", {}),
                            "messages": [with_reasoning(m) for m in conversation["messages"]],
                            "tools": conversation.get("tools"),
                            "documents": None,
                            "add_generation_prompt": prompt,
                        }
                    )
                except Refused as e:
                    entry["refused"] = str(e)
                except Exception as e:
                    entry["error"] = f"{type(e).__name__}: {e}"
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
