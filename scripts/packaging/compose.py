"""Reads a compose file strictly: fills in its variables, resolves its anchors, and lets a reader of the Compose
Specification judge the rest. Where there is `docker compose config`, that is better."""

import re
import sys

import yaml
from compose_spec import PyCompose

text = open(sys.argv[1], encoding="utf-8").read()
text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
text = re.sub(r"\$\{\w+(:\?[^}]*)?\}", "hooks.example.com", text)
print(PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(text))).service_names())
