"""How the documentation is built: `make docs`."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

# Where the pages that are run find what draws their pictures.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent / "_scripts"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
# A progress bar would need widgets, and says so with the path of whoever builds the site.
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"

from sphinx.util.inspect import TypeAliasForwardRef

project = "dfa"
author = "The dfa developers"
project_copyright = author
release = importlib.metadata.version("dfa-attack")
version = release

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3

# Nothing is taken from an earlier build: a page shows what this dfa does.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
# As the code has them, and not the unions that they stand for.
_ALIASES = ("ArrayLike", "Classes", "DegreeFunction", "Degrees", "Image", "Images", "Indices", "Preprocess", "Scores")
autodoc_type_aliases = {name: name for name in _ALIASES}
# In a union Sphinx shows the object that stands for the name.
TypeAliasForwardRef.__repr__ = lambda self: self.name
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
# Docstrings hold code between single backticks.
default_role = "literal"
# Settings are quoted, and copied.
smartquotes_action = "D"

templates_path = ["_templates"]
html_theme = "furo"
html_title = f"dfa {release}"
html_static_path = ["_static"]
html_css_files = ["dfa.css"]
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
