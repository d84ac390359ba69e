"""Settings of Sphinx for the documentation site, which ``make docs`` builds.

The sources are the repository's own folders, so that a link from one page to another, or to a file
of the repository, is the same on a code host and in the site.
"""

import builtins
import re
import sys
from importlib import metadata
from pathlib import Path

from amaranth.lib import wiring
from docutils import nodes
from docutils.nodes import Element, TextElement
from sphinx.addnodes import desc_annotation, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import inspect

project = "eieio"
release = metadata.version(project)
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md", "docs/methods/*.md",
                    "docs/api/*.rst", "examples/*/README.md"]
exclude_patterns = [".*", "build"]
templates_path = [str(Path(__file__).with_name("templates"))]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]

highlight_language = "none"
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
autosummary_ignore_module_all = False
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
# As lists of fields: the types are prose, such as "int32 array of shape (samples, outputs)".
napoleon_custom_sections = [("Attributes", "params_style"), ("Members", "params_style")]

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
# The front page is README.html; a server or a reader opens index.html.
html_additional_pages = {"index": "index.html"}

# A name in a docstring that leads nowhere is a fault, as a dead link in a page is.
nitpicky = True
# The latter: of a signature with a default that is no Python, such as <factory>, Sphinx splits
# types at their commas.
nitpick_ignore_regex = [("py:.*", r".*\b_.*"),
                        ("py:class", r"(collections\.abc\.Mapping|dict|tuple)\[(str|int|float)")]

# Longest value of a constant that is shown.
_VALUE_LENGTH = 80
_NDARRAY = re.compile(r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[(.*?)\]\]")
_CONTENTS = """
```{toctree}
:caption: Documentation
:hidden:

docs/python
docs/architecture
docs/eyeriss
docs/tensor_core
docs/dadiannao
docs/new_engine
docs/verification
docs/results
docs/comparison
docs/tuning
docs/benchmarks
docs/mlperf_tiny
docs/compression
docs/squeezenet
docs/boards
docs/integration
docs/registers
```

```{toctree}
:caption: Training methods
:hidden:

docs/methods/README
docs/methods/dense-sparse-dense
docs/methods/distillation
docs/methods/dynamic-fixed-point
docs/methods/mixed-precision
docs/methods/low-rank
docs/methods/ternary
docs/methods/parallel-training
docs/methods/pruning
```

```{toctree}
:caption: Examples
:glob:
:hidden:

examples/*/README
```

```{toctree}
:caption: Reference
:hidden:

docs/api
CHANGELOG
```
"""


def _add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Give the front page the table of contents, which the README has no use for elsewhere."""
    if page == root_doc:
        source[0] += _CONTENTS


def _keep_colons(app: Sphinx, what: str, name: str, thing: object, options: object,
                 lines: list[str]) -> None:
    """Keep napoleon from taking an attribute's text in front of a colon for its type."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]


def _mend_signature(app: Sphinx, what: str, name: str, thing: object, options: object,
                    signature: str | None, returns: str | None) -> tuple[str | None, ...]:
    """Write a component's own parameters, and arrays as the sources do, ``NDArray[...]``."""
    if what == "class" and isinstance(thing, type) and issubclass(thing, wiring.Component):
        own = inspect.signature(thing.__init__, bound_method=True)
        signature = inspect.stringify_signature(own, show_return_annotation=False,
                                                unqualified_typehints=True)
    return tuple(text and _NDARRAY.sub(r"~numpy.typing.NDArray[\1]", text)
                 for text in (signature, returns))


def _shorten_object(app: Sphinx, domain: str, kind: str, content: Element) -> None:
    """Leave out the base class that every class has, and values that fill lines."""
    if kind == "class" and content.children and content[0].astext() == "Bases: object":
        del content[0]
    elif kind in {"data", "attribute"} and content.parent is not None:
        for value in list(content.parent.findall(desc_annotation)):
            if value.astext().startswith(" = ") and len(value.astext()) > _VALUE_LENGTH:
                value.parent.remove(value)


def _shorten_titles(app: Sphinx, env: BuildEnvironment) -> None:
    """Call modules by their last names in the table of contents, where packages are above them."""
    for page, title in env.titles.items():
        if page.startswith("docs/api/") and page.count(".") > 1:
            for node in (title, next(env.tocs[page].findall(nodes.reference))):
                node[:] = [nodes.Text(title.astext().rpartition(".")[2])]


def _meant(node: pending_xref) -> object | None:
    """Return what a name in a docstring means in the module and class that it stands in."""
    first, *rest = node["reftarget"].split(".")
    module = vars(sys.modules.get(node.get("py:module"), builtins))
    for scope in (module, vars(builtins), sys.modules):
        if first in scope:
            found = scope[first]
            for name in rest:
                found = getattr(found, name, None)
            return found
    # Attributes that an object gets when it is made are known from its docstring alone.
    holder = getattr(module.get(node.get("py:class")), "__doc__", None) or ""
    return re.search(rf"(?m)^ *(\w+, )*{re.escape(first)}(, \w+)* :", holder)


def _find(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: TextElement
          ) -> Element | None:
    """Link a name that its module has imported from another one."""
    found = _meant(node) if node["refdomain"] == "py" else None
    if not hasattr(found, "__module__") or not hasattr(found, "__qualname__"):
        return None
    return env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"],
        f"{found.__module__}.{found.__qualname__}", node, text)


def _exists(app: Sphinx, domain: object, node: pending_xref) -> bool | None:
    """Pass a name that means something but has no page here, such as one of another package."""
    return True if node["refdomain"] == "py" and _meant(node) is not None else None


def setup(app: Sphinx) -> None:
    """Connect what is more than a setting."""
    app.connect("source-read", _add_contents)
    app.connect("autodoc-process-docstring", _keep_colons, priority=400)
    app.connect("autodoc-process-signature", _mend_signature)
    app.connect("object-description-transform", _shorten_object)
    app.connect("env-updated", _shorten_titles)
    app.connect("missing-reference", _find)
    app.connect("warn-missing-reference", _exists)
