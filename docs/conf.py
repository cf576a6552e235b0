"""The documentation site: `sphinx-build -W docs build/site`."""

import re

project = "wsol"
author = ""
copyright = ""
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "wsol"
html_show_copyright = False
html_show_sphinx = False
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True


def fields(app, what, name, thing, options, lines):
    """Our docstrings say `name: text`, one argument a line; Sphinx wants `:param name: text`, after an empty line."""
    text, inside = [], False
    for line in lines:
        named = re.match(r"((?:\w+, )*\w+): (?=\S)(.*)", line) if what in ("function", "method", "class") else None
        if named and not line.startswith(("http", "Note:", "Returns", "Raises")):
            text += [""] * (not inside)
            text += [f":param {argument}: {named[2]}" for argument in named[1].split(", ")]
            inside = True
        else:
            inside = inside and line.startswith(" ")
            text.append(line)
    lines[:] = text


def titled(app, page, content):
    """Tables that a command wrote have no title; they are reached from results.md."""
    if page.startswith("results/"):
        name = page.removeprefix("results/").removesuffix("/table")
        content[0] = f"---\norphan: true\n---\n\n# {name}\n\n{content[0]}"


def setup(app):
    app.connect("source-read", titled)
    app.connect("autodoc-process-docstring", fields)
