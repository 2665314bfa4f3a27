# SPDX-License-Identifier: GPL-2.0
"""A script as a module, so that its functions can be tested."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TOP = Path(__file__).resolve().parent.parent


def load(path: str) -> ModuleType:
    """The Python script at path, whose name has no suffix; e.g. ci/mutate."""
    name = Path(path).name
    loader = importlib.machinery.SourceFileLoader(name, str(TOP / path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str((TOP / path).parent))
    loader.exec_module(module)
    return module
